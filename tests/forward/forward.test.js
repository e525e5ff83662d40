// The gateway as the judge behind a real nginx and a real Envoy, which carry the traffic.
//
//   PORTCULLIS_BIN=target/debug/portcullis ENVOY=target/tools/envoy-1.40.0/envoy node --test tests/forward/forward.test.js
//
// Without $ENVOY the part with Envoy is left out, loudly.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';

import { until } from '../browser/harness/process.js';
import { ask, Browser, ENVOY, World } from './world.js';

const world = await World.start();
after(() => world.stop());

/** Whoever claims to be somebody, in every spelling that the examples must stop. */
const FORGED = {
  'X-Forwarded-User': 'root', 'X-Forwarded-Email': 'root@corp.example', 'X-Forwarded-Groups': 'admins',
  'X-Forwarded-Preferred-Username': 'root', 'X-Auth-Request-User': 'root', 'X-Auth-Request-Groups': 'admins',
};

const GRPC = { 'content-type': 'application/grpc' };

/** Refused, and the app saw nothing. Envoy tells gRPC so under status 200; the gateway's style sheet is for everybody. */
function assertRefused({ status, headers, body }, what) {
  const told = status >= 400 || Number(headers['grpc-status']) > 0 || headers['content-type']?.startsWith('text/css');
  assert.ok(told, `${what}: ${status} ${body}`);
  assert.ok(!body.includes('"headers"'), `${what} reached the app`);
}

const loginOf = (origin, path) => `${origin}/oauth2/start?rd=${encodeURIComponent(path).replaceAll('.', '%2E').replaceAll('-', '%2D')}`;
const proxies = [{ name: 'nginx', origin: world.wiki, who: 'ann', forges: FORGED }];
if (ENVOY) {
  proxies.push({ name: 'envoy', origin: world.files, who: 'eve', forges: FORGED });
} else {
  console.error('\n*** $ENVOY names no Envoy: deploy/envoy/portcullis.yaml is NOT TESTED here ***\n');
}

for (const { name, origin, who, forges } of proxies) {
  const browser = new Browser();

  test(`behind ${name} nobody gets in without a session`, async () => {
    const page = await ask(`${origin}/a?b=c`, { headers: Browser.PAGE });
    assert.equal(page.status, 302, page.body);
    assert.equal(page.headers.location, loginOf(origin, '/a?b=c'));
    const script = await ask(`${origin}/a`, { headers: { ...Browser.SCRIPT, ...forges } });
    assert.equal(script.status, 401, script.body);
    assert.match(script.headers['www-authenticate'], /login_required/);
    assertRefused(await ask(`${origin}/a`, { headers: { ...GRPC, ...forges } }), 'gRPC');
    const spoofed = await ask(`${origin}/admin`, {
      headers: {
        ...Browser.SCRIPT, 'X-Original-URL': `${origin}/public`, 'X-Original-Method': 'GET', 'X-Forwarded-Uri': '/public',
        'X-Forwarded-Host': 'wiki.localhost', 'X-Forwarded-Method': 'GET', 'X-Forwarded-Proto': 'http',
      },
    });
    assert.equal(spoofed.status, 401, 'a header of the client chose the path');
  });

  test(`behind ${name} no spelling of a path walks around the decision`, async () => {
    const paths = [
      '/public/../admin', '/public/%2e%2e/admin', '/public/..%2fadmin', '/public/..;/admin', '/public/../../../../oauth2/static/page.css',
      '/../../static/page.css', '/../nginx', '/admin%00', '/public%5c..%5cadmin', '//admin', '/OAuth2/static/page.css',
    ];
    for (const path of paths) {
      for (const headers of [Browser.SCRIPT, GRPC]) assertRefused(await ask(`${origin}/`, { path, headers }), path);
    }
  });

  test(`behind ${name} public paths are open, and say of nobody who they are`, async () => {
    const answer = await ask(`${origin}/public/x?y`, { headers: forges });
    assert.equal(answer.status, 200);
    const seen = JSON.parse(answer.body);
    assert.equal(seen.url, '/public/x?y');
    for (const header of ['user', 'email', 'groups', 'preferred-username']) {
      assert.equal(seen.headers[`x-forwarded-${header}`] || '', '', header);
    }
  });

  test(`behind ${name} the app learns who signed in`, async () => {
    await browser.signIn(`${origin}/a?b=c`, who);
    const answer = await browser.ask(`${origin}/a?b=c`, { headers: { ...Browser.PAGE, ...forges } });
    assert.equal(answer.status, 200, answer.body);
    const { headers, url } = JSON.parse(answer.body);
    assert.equal(url, '/a?b=c');
    const told = ['user', 'email', 'groups', 'preferred-username'].map((h) => headers[`x-forwarded-${h}`] ?? '');
    assert.deepEqual(told, who === 'ann' ? ['ann', 'ann@corp.example', 'staff', 'ann'] : ['eve', 'eve@elsewhere.example', '', 'eve']);
    const post = await browser.ask(`${origin}/a`, { method: 'POST', body: 'x=1', headers: Browser.SCRIPT });
    assert.equal(JSON.parse(post.body).method, 'POST');
    assert.equal((await browser.ask(`${origin}/admin`)).status, 403);
  });

  test(`behind ${name} a session that is used goes on`, async () => {
    const before = browser.cookies(origin);
    await until('its cookie is sealed anew', async () => {
      assert.equal((await browser.ask(`${origin}/a`)).status, 200);
      return browser.cookies(origin) !== before;
    });
    assert.equal((await browser.ask(`${origin}/a`)).status, 200, 'the new cookie is one');
  });

  test(`behind ${name} a WebSocket of a foreign page is refused`, async () => {
    const handshake = { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' };
    const foreign = await browser.ask(`${origin}/a`, { headers: { ...handshake, origin: 'https://evil.example' } });
    assert.equal(foreign.status, 403);
    assert.equal((await browser.ask(`${origin}/a`, { headers: { ...handshake, origin } })).status, 200);
  });

  test(`behind ${name} a revocation ends it, and a new login begins anew`, async () => {
    const copied = { cookie: browser.cookies(origin) };
    await world.revoke(who === 'ann' ? 'ann@corp.example' : 'eve@elsewhere.example');
    const page = await browser.ask(`${origin}/a`);
    assert.equal(page.status, 302);
    assert.equal(page.headers.location, loginOf(origin, '/a'));
    assert.equal(page.headers['clear-site-data'], '"cache", "storage"');
    const replayed = await ask(`${origin}/a`, { headers: { ...Browser.SCRIPT, ...copied } });
    assert.equal(replayed.status, 401);
    assert.match(replayed.headers['www-authenticate'], /session_revoked/);
    await browser.signIn(`${origin}/a`, who);
    assert.equal((await browser.ask(`${origin}/a`)).status, 200);
    const authorizations = await world.idp.authorizations();
    assert.equal(authorizations.at(-1).prompt, 'login');
    assert.equal((await ask(`${origin}/a`, { headers: { ...Browser.SCRIPT, ...copied } })).status, 401, 'the old session came back');
  });

  test(`behind ${name} nobody else asks for verdicts`, async () => {
    for (const path of ['/oauth2/auth', '/oauth2/auth/nginx', '/oauth2/auth/envoy/public']) {
      assert.equal((await browser.ask(origin + path)).status, 404, path);
    }
  });
}

test('the gateway believes what is said of another request from configured proxies only', async () => {
  const gateway = `http://wiki.localhost:${world.port}`;
  const said = {
    'X-Original-URL': `${world.wiki}/public`, 'X-Original-Method': 'GET', 'X-Forwarded-Uri': '/public',
    'X-Forwarded-Host': 'wiki.localhost', 'X-Forwarded-Method': 'GET', 'X-Forwarded-Proto': 'https',
  };
  for (const path of ['nginx', 'traefik', 'caddy', 'haproxy', 'envoy/public']) {
    const url = `${gateway}/oauth2/auth/${path}`;
    assert.equal((await ask(url, { headers: said })).status, 200, path);
    const stranger = await ask(url, { headers: said, from: '127.0.0.9' });
    assert.deepEqual([stranger.status, JSON.parse(stranger.body)], [403, { error: 'untrusted_proxy' }], path);
    for (const header of ['x-auth-request-user', 'location', 'set-cookie']) assert.equal(stranger.headers[header], undefined);
  }
});

test('the families that relay answers get them as they can use them', async () => {
  const browser = new Browser();
  await browser.signIn(`${world.wiki}/`, 'ben');
  const cookie = browser.cookies(world.wiki);
  const verdict = (family, path, headers) => ask(`http://127.0.0.1:${world.port}/oauth2/auth/${family}`, {
    headers: { 'X-Forwarded-Method': 'GET', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'wiki.localhost', 'X-Forwarded-Uri': path, ...headers },
  });
  for (const family of ['traefik', 'caddy', 'haproxy']) {
    const allowed = await verdict(family, '/admin', { cookie });
    assert.equal(allowed.status, 200);
    assert.equal(allowed.headers['x-auth-request-user'], 'ben');
    assert.equal(allowed.headers['x-auth-request-groups'], 'staff,admins');
    assert.equal(allowed.headers['x-forwarded-email'], 'ben@corp.example');
    assert.equal((await verdict(`${family}?allowed_groups=staff`, '/admin', { cookie })).status, 200);
    assert.equal((await verdict(`${family}?allowed_groups=bosses`, '/admin', { cookie })).status, 403);
    assert.equal((await verdict(`${family}?allowed_group=staff`, '/admin', { cookie })).status, 403, 'a slip in the query');
    const page = await verdict(family, '/admin', Browser.PAGE);
    assert.deepEqual([page.status, page.headers.location], [302, loginOf(world.wiki, '/admin')]);
    const script = await verdict(family, '/admin', Browser.SCRIPT);
    assert.deepEqual([script.status, JSON.parse(script.body)], [401, { error: 'login_required', login_url: loginOf(world.wiki, '/') }]);
    const elsewhere = await verdict(family, '/admin', { cookie, 'X-Forwarded-Host': 'evil.example' });
    assert.deepEqual([elsewhere.status, JSON.parse(elsewhere.body)], [403, { error: 'unknown_host' }]);
  }
  const plain = (query, headers) => ask(`http://wiki.localhost:${world.port}/oauth2/auth${query}`, { headers, from: '127.0.0.9' });
  const told = await plain('?allowed_groups=bosses,staff', { cookie });
  assert.deepEqual([told.status, told.headers['x-auth-request-email'], told.body], [202, 'ben@corp.example', '']);
  for (const [query, headers] of [
    ['?allowed_groups=bosses', { cookie }], ['?allowed_groups=', { cookie }], ['?allowed_emails=ann@corp.example', { cookie }],
    ['', {}], ['', Browser.PAGE], ['', { cookie, ...GRPC, host: 'evil.example' }],
  ]) {
    const refused = await plain(query, headers);
    assert.deepEqual([refused.status, refused.headers.location], [401, undefined], `${query} ${Object.keys(headers)}`);
  }
  await world.revoke('ben@corp.example');
  assert.equal((await plain('', { cookie })).status, 401);
  const page = await verdict('traefik', '/a', { cookie, ...Browser.PAGE });
  assert.deepEqual([page.status, page.headers['clear-site-data']], [302, '"cache", "storage"']);
  const script = await verdict('traefik', '/a', { cookie, ...GRPC });
  assert.deepEqual([script.status, JSON.parse(script.body).error], [401, 'session_revoked']);
});

test('what was refused is in the audit trail', async () => {
  await until('the trail says so', async () => {
    const trail = await readFile(`${world.gateway.dir}/audit.log`, 'utf8');
    return trail.includes('request_refused') && trail.includes('GET /a');
  });
});

test('without the gateway nobody gets in, not even where it is open', async () => {
  await world.gateway.kill();
  for (const { name, origin } of proxies) {
    const answer = await ask(`${origin}/public`);
    assert.ok(answer.status >= 400 && !answer.body.includes('"headers"'), `${name}: ${answer.status}`);
  }
});
