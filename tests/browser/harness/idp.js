// The OpenID provider and its knobs (tests/idp/server.js).
import { fileURLToPath } from 'node:url';

import { Program } from './process.js';

const SERVER = fileURLToPath(new URL('../../idp/server.js', import.meta.url));
const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';

export class Idp {
  static async start(clients, resources = []) {
    const program = new Program('idp', process.execPath, [SERVER, JSON.stringify({ clients, resources })]);
    const [, line] = await program.says(/^(\{.*\})$/m);
    return new Idp(program, JSON.parse(line));
  }

  constructor(program, { issuer, control }) {
    this.program = program;
    this.issuer = issuer;
    this.control = control;
  }

  sessions() { return this.#ask('GET', '/sessions'); }
  authorizations() { return this.#ask('GET', '/authorizations'); }
  secrets() { return this.#ask('GET', '/secrets'); }
  hangsUpOnQuestionsAboutTokens(on) { return this.#ask('POST', `/deaf-introspection?on=${on ? 1 : 0}`); }
  /** An administrator disables an account, or enables it again; the IdP tells nobody. */
  disables(sub, on = true) { return this.#ask('POST', `/disable?sub=${encodeURIComponent(sub)}&on=${on ? 1 : 0}`); }

  /** An administrator takes back what a person allowed clients; the IdP tells nobody. */
  revokesGrantsOf(sub) { return this.#ask('POST', `/revoke-grants?sub=${encodeURIComponent(sub)}`); }

  /** When refresh tokens were used: [{client_id, at, status}]. */
  refreshes() { return this.#ask('GET', '/refreshes'); }
  freezeAuthTime(on) { return this.#ask('POST', `/frozen-auth-time?on=${on ? 1 : 0}`); }

  /** An administrator ends one session: the logout token names it by `sid`. */
  kill(sid) { return this.#ask('POST', `/kill?sid=${encodeURIComponent(sid)}`); }

  /** An administrator ends all sessions of a person: the logout token has no `sid`. */
  killAllOf(sub) { return this.#ask('POST', `/kill-sub?sub=${encodeURIComponent(sub)}`); }

  /** Pushes a SET that says: every session of this address is revoked, as of now. */
  pushSessionRevoked(email, { url, token, audience }) {
    return this.#ask('POST', '/set', {
      url,
      authorization: `Bearer ${token}`,
      claims: {
        aud: audience,
        sub_id: { format: 'email', email },
        events: { [SESSION_REVOKED]: { event_timestamp: Math.floor(Date.now() / 1000), initiating_entity: 'policy' } },
      },
    });
  }

  async #ask(method, path, body) {
    const answer = await fetch(this.control + path, { method, body: body && JSON.stringify(body) });
    const value = await answer.json();
    if (!answer.ok) throw new Error(`idp ${method} ${path}: ${value.error}`);
    return value;
  }
}
