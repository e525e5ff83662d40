// A program that acts for somebody: it has tokens and no cookies. Its owner signs in in a browser.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import dns from 'node:dns';

// Browsers know that *.localhost is this machine; this process has to be told.
const { lookup } = dns;
dns.lookup = (host, ...rest) => lookup(host.endsWith('.localhost') ? '127.0.0.1' : host, ...rest);

export class Phone {
  #server;
  #client;
  #wish;
  #noteSecret;
  #key;

  /**
   * `server` gives out its tokens, to the client `name`; `scope` and `resource` are what it asks for. With a `key` of its own
   * (RFC 9449) its tokens are bound to that. `noteSecret` is told every code and token.
   */
  constructor({ server, name, scope, resource, noteSecret, key }) {
    this.#server = server;
    this.#client = name;
    this.#wish = { scope, ...(resource && { resource }) };
    this.#noteSecret = noteSecret;
    this.#key = key;
  }

  static key() { return generateKeyPairSync('ec', { namedCurve: 'P-256' }); }

  /** Its owner opens the authorization page in `visitor`'s browser, and signs in where that is asked for: {code, verifier}. */
  async isAuthorized(visitor, name) {
    const redirect = `com.corp.${this.#client}:/cb`;
    const verifier = randomBytes(32).toString('base64url');
    const state = randomUUID();
    const url = new URL('/auth', this.#server);
    url.search = new URLSearchParams({
      client_id: this.#client,
      response_type: 'code',
      redirect_uri: redirect,
      state,
      code_challenge_method: 'S256',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      ...this.#wish,
    });
    const location = new URL(await visitor.isSentOutOfTheBrowser(url.href, redirect, name));
    assert.equal(location.searchParams.get('state'), state, location.href);
    const code = location.searchParams.get('code');
    assert.ok(code, location.href);
    this.#noteSecret(code);
    return { code, verifier };
  }

  /** Redeems what `isAuthorized` gave: the server's answer. */
  redeems({ code, verifier }) {
    const redirect_uri = `com.corp.${this.#client}:/cb`;
    return this.#token({ grant_type: 'authorization_code', code, redirect_uri, code_verifier: verifier });
  }

  /** Asks for new tokens with a refresh token: the server's answer. */
  refreshes(refresh_token) {
    return this.#token({ grant_type: 'refresh_token', refresh_token, ...this.#wish });
  }

  /** Gives a token back (RFC 7009): the server's answer. */
  givesBack(token) {
    return this.#posts('/token/revocation', { token });
  }

  async #token(form) {
    const answer = await this.#posts('/token', form);
    for (const name of ['access_token', 'refresh_token', 'id_token']) {
      if (answer.json?.[name]) this.#noteSecret(answer.json[name]);
    }
    return answer;
  }

  #posts(path, form) {
    const url = `${this.#server}${path}`;
    const headers = this.#key && { dpop: this.proves('POST', url) };
    return asks(url, { method: 'POST', body: new URLSearchParams({ client_id: this.#client, ...form }), headers });
  }

  /** A proof of possession for one request (RFC 9449 §4.2); with `token`, for one that bears it. */
  proves(method, url, token) {
    const { kty, crv, x, y } = this.#key.publicKey.export({ format: 'jwk' });
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } };
    const claims = {
      jti: randomUUID(),
      htm: method,
      htu: url,
      iat: Math.floor(Date.now() / 1000),
      ...(token && { ath: createHash('sha256').update(token).digest('base64url') }),
    };
    const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    const signature = sign('sha256', text, { key: this.#key.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  }
}

/** What a program is told: {status, challenge, headers, json, text}. It follows no redirect and has no cookies. */
export async function asks(url, { token, ...options } = {}) {
  const headers = { accept: 'application/json', ...(token && { authorization: `Bearer ${token}` }), ...options.headers };
  const answer = await fetch(url, { redirect: 'manual', ...options, headers });
  const text = await answer.text();
  const json = /^application\/(\w+\+)?json/.test(answer.headers.get('content-type')) ? JSON.parse(text) : undefined;
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), headers: answer.headers, json, text };
}
