// From oauth2-proxy to the gateway, as its people would do it: the real oauth2-proxy serves an app from a config in the form of
// its public examples; `portcullis migrate` translates the config; what it tells to do is done; the gateway takes the same port
// and serves the same app. The app must hear of the same person under the same names.
//
//   PORTCULLIS_BIN=target/debug/portcullis OAUTH2_PROXY=target/tools/oauth2-proxy-7.15.6/oauth2-proxy node --test tests/migrate/migrate.test.js
//
// Without $OAUTH2_PROXY the gateway is compared with what oauth2-proxy's documents say, loudly.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { Idp } from '../browser/harness/idp.js';
import { freePort, Program, run, until } from '../browser/harness/process.js';
import { ask, Browser } from '../forward/world.js';

const { PORTCULLIS_BIN, OAUTH2_PROXY } = process.env;
const SECRET = 'the-secret-that-both-gateways-share-with-the-idp';
/** What says who somebody is. */
const IDENTITY = /^(x-forwarded-(user|email|groups|preferred-username|access-token)|x-auth-request-.*|authorization|remote-.*)$/;
/** What oauth2-proxy's documents say of these options. */
const DOCUMENTED = { app: ['x-forwarded-email', 'x-forwarded-groups', 'x-forwarded-preferred-username', 'x-forwarded-user'] };
DOCUMENTED.verdict = ['x-auth-request-email', 'x-auth-request-groups', 'x-auth-request-preferred-username', 'x-auth-request-user'];

const dir = await mkdtemp(join(tmpdir(), 'portcullis-migrate.'));
const [port, admin] = await Promise.all([freePort(), freePort()]);
const origin = `http://wiki.localhost:${port}`;
const app = http.createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ url: request.url, headers: request.headers }));
}).listen(0, '127.0.0.1');
await once(app, 'listening');
const idp = await Idp.start([{ client_id: 'oauth2-proxy', client_secret: SECRET, redirect_uris: [`${origin}/oauth2/callback`] }]);
const programs = [idp.program];
after(async () => {
  await Promise.all(programs.map((program) => program.stop('SIGINT')));
  app.closeAllConnections();
  app.close();
  await rm(dir, { recursive: true, force: true });
});

const CONFIG = `
http_address="127.0.0.1:${port}"
cookie_secret="${randomBytes(32).toString('base64url')}"
email_domains="corp.example"
cookie_secure="false"
cookie_domains=[".localhost"]
whitelist_domains=[".localhost"]
upstreams="http://127.0.0.1:${app.address().port}"
skip_auth_routes=["^/public/"]
skip_provider_button="true"
client_secret="${SECRET}"
client_id="oauth2-proxy"
scope="openid email profile groups"
code_challenge_method="S256"
redirect_url="${origin}/oauth2/callback"
oidc_issuer_url="${idp.issuer}"
provider="oidc"
provider_display_name="Corp"
pass_user_headers="true"
set_xauthrequest="true"
`;
const old = join(dir, 'oauth2-proxy.cfg');
await writeFile(old, CONFIG);

const told = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => IDENTITY.test(name)).sort());

/** What the app and a proxy in front hear of Ann. */
async function hear() {
  const browser = new Browser();
  await browser.signIn(`${origin}/a?b=c`, 'ann');
  const forged = { 'x-forwarded-user': 'root', 'x-forwarded-groups': 'admins' };
  const page = await browser.ask(`${origin}/a?b=c`, { headers: { ...Browser.PAGE, ...forged } });
  assert.equal(page.status, 200, page.body);
  const { url, headers } = JSON.parse(page.body);
  assert.equal(url, '/a?b=c');
  assert.equal(headers.host, `wiki.localhost:${port}`);
  const verdict = await browser.ask(`${origin}/oauth2/auth`);
  assert.equal(verdict.status, 202, verdict.body);
  const open = await ask(`${origin}/public/x`, { headers: Browser.PAGE });
  assert.equal(open.status, 200, 'the open path is open');
  const stranger = await ask(`${origin}/a`, { headers: Browser.SCRIPT });
  assert.ok([302, 401, 403].includes(stranger.status) && !stranger.body.includes('"headers"'), `${stranger.status}`);
  const elsewhere = new Browser();
  // oauth2-proxy gives her no session; the gateway does, and asks at each request whether the app admits her.
  await elsewhere.signIn(`${origin}/a`, 'eve').catch(() => undefined);
  const eve = await elsewhere.ask(`${origin}/a`);
  assert.ok([302, 403].includes(eve.status) && !eve.body.includes('"headers"'), `an address of another domain got in: ${eve.status}`);
  return { app: told(headers), verdict: told(verdict.headers) };
}

let before;
if (OAUTH2_PROXY) {
  test('oauth2-proxy serves the app', async () => {
    const proxy = new Program('oauth2-proxy', OAUTH2_PROXY, ['--config', old]);
    programs.push(proxy);
    await until('oauth2-proxy answers', () => {
      if (!proxy.isRunning) throw new Error(`oauth2-proxy ended:\n${proxy.output}`);
      return fetch(`http://127.0.0.1:${port}/ping`).then((answer) => answer.ok, () => false);
    }, 60_000);
    before = await hear();
    await proxy.stop();
    console.log(`oauth2-proxy tells: ${JSON.stringify(before)}`);
  });
} else {
  console.error('\n*** $OAUTH2_PROXY names no oauth2-proxy: compared with its documents only ***\n');
}

test('its config is translated, what has no like is named, and no secret is copied', async () => {
  const config = join(dir, 'portcullis.toml');
  const { code, stdout, stderr } = await run(PORTCULLIS_BIN, ['migrate', 'oauth2-proxy', old, '-o', config]);
  assert.equal(code, 2, stderr);
  assert.equal(stdout, '');
  const named = [...stderr.matchAll(/^ {2}- ([\w-]+) \(line \d+\): /gm)].map(([, name]) => name);
  assert.deepEqual(named.sort(), ['cookie-domain', 'whitelist-domain']);
  const written = await readFile(config, 'utf8');
  assert.ok(!`${written}${stderr}`.includes(SECRET), 'the secret was copied');
  assert.match(stderr, /`client_secret` into `corp\.secret`/);
  const again = await run(PORTCULLIS_BIN, ['migrate', 'oauth2-proxy', old, '-o', config]);
  assert.equal(again.code, 1, 'it wrote over a file');
});

test('the gateway serves the same app at the same place, under the same names', async () => {
  const config = join(dir, 'portcullis.toml');
  for (const [name, text] of [['corp.secret', SECRET], ['admin.token', randomBytes(32).toString('hex')]]) {
    await writeFile(join(dir, name), `${text}\n`, { mode: 0o600 });
  }
  assert.equal((await run(PORTCULLIS_BIN, ['keygen', join(dir, 'ring-1.key')])).code, 0);
  // The two places that belong to the machine, not to what was migrated.
  const written = await readFile(config, 'utf8');
  const here = written.replace('/var/lib/portcullis/ledger.db', 'ledger.db').replace('127.0.0.1:9090', `127.0.0.1:${admin}`);
  await writeFile(config, here);
  const { code, stdout, stderr } = await run(PORTCULLIS_BIN, ['check', '-c', config]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^ok: 1 app, 1 IdP/);
  const gateway = new Program('gateway', PORTCULLIS_BIN, ['run', '-c', config]);
  programs.push(gateway);
  await until('the gateway is ready', () => {
    if (!gateway.isRunning) throw new Error(`the gateway ended:\n${gateway.output}`);
    return fetch(`http://127.0.0.1:${admin}/ready`).then((answer) => answer.ok, () => false);
  }, 60_000);
  const now = await hear();
  console.log(`the gateway tells:   ${JSON.stringify(now)}`);
  for (const where of ['app', 'verdict']) {
    assert.deepEqual(Object.keys(now[where]), before ? Object.keys(before[where]) : DOCUMENTED[where], where);
    if (before) assert.deepEqual(now[where], before[where], where);
  }
});
