// A thousand sessions at an IdP that sends nothing: never more calls per second than configured, and all of them dead
// within the bound after their accounts are disabled; with a gateway that is killed in between.
//
//   PORTCULLIS_BIN=target/debug/portcullis node --test tests/revalidation/thousand.test.js
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import * as http from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { Gateway } from '../browser/harness/gateway.js';
import { Idp } from '../browser/harness/idp.js';
import { freePort, until } from '../browser/harness/process.js';

const SESSIONS = 1_000;
const PEOPLE = 50;
/** Too many sessions for the interval: the calls are the bound, and are all used. */
const [EVERY, CALLS] = [20, 40];
/** Calls are counted where they arrive: each may have been under way for up to so many seconds, so that some come together. */
const UNDER_WAY = 0.5;
const BOUND = Math.max(EVERY, SESSIONS / CALLS);
const CLIENT_SECRET = 'the-secret-that-the-gateway-shares-with-the-idp';
/** Sign-ins under way at once. */
const HANDS = 8;

const app = http.createServer((_, answer) => answer.end('the app')).listen(0, '127.0.0.1');
await once(app, 'listening');
const [port, admin] = await Promise.all([freePort(), freePort()]);
const origin = `http://localhost:${port}`;
const idp = await Idp.start([{ client_id: 'portcullis', client_secret: CLIENT_SECRET, redirect_uris: [`${origin}/oauth2/callback`] }]);
const gateway = await Gateway.start(process.env.PORTCULLIS_BIN, {
  port, admin, issuer: idp.issuer, clientSecret: CLIENT_SECRET, every: `${EVERY}s`, calls: CALLS, url: origin,
  upstream: `http://127.0.0.1:${app.address().port}`,
}, new URL('gateway.toml', import.meta.url));
after(async () => {
  await gateway.stop();
  await idp.program.stop();
  app.close();
});

test('a thousand sessions are checked at the configured pace, over a kill -9, and die with their accounts', async (t) => {
  let began = Date.now();
  const sessions = await signInAll();
  t.diagnostic(`${sessions.length} sign-ins in ${seconds(began)} s`);
  const live = () => metric('portcullis_revalidation_sessions{idp="corp",state="live"}');
  await until('all are asked after', async () => await live() === SESSIONS);

  // Each of them is checked, and its token replaced.
  began = Date.now();
  await until('a round of checks', async () => (await refreshesSince(began)).length >= SESSIONS, 3 * BOUND * 1000);
  t.diagnostic(`${SESSIONS} checks in ${seconds(began)} s; bound: ${BOUND} s`);
  await gateway.kill();
  await gateway.run();
  began = Date.now();
  await until('a round of checks after the kill', async () => (await refreshesSince(began)).length >= SESSIONS, 3 * BOUND * 1000);
  t.diagnostic(`${SESSIONS} checks in ${seconds(began)} s after the kill`);
  const alive = (await statuses(sessions)).filter((status) => status === 200).length;
  t.diagnostic(`${alive} of ${SESSIONS} sessions stand after the kill; the others were under way when it came`);
  assert.ok(alive >= SESSIONS - CALLS, 'at the most those under way are asked for a new assertion');

  const refused = await metric('portcullis_revalidations_total{by="refresh",idp="corp",result="refused"}');
  const disabledAt = Date.now();
  await Promise.all(Array.from({ length: PEOPLE }, (_, n) => idp.disables(`p${n}`)));
  await until('all are refused', async () =>
    await metric('portcullis_revalidations_total{by="refresh",idp="corp",result="refused"}') >= refused + alive, 3 * BOUND * 1000);
  const took = seconds(disabledAt);
  const after_ = await statuses(sessions);
  assert.ok(after_.every((status) => status === 401), 'every session is dead');
  t.diagnostic(`all ${SESSIONS} dead ${took} s after the accounts were disabled; bound: ${BOUND} s and a call`);
  assert.ok(took <= BOUND + 3, `${took} s`);
  const lines = (await readFile(join(gateway.dir, 'audit.log'), 'utf8')).split('\n').filter((line) => line.includes('"session_refused"'));
  assert.equal(lines.length, SESSIONS, 'one line in the audit log for each');

  const calls = (await idp.refreshes()).map(({ at }) => at).sort((a, b) => a - b);
  const [second, five] = [busiest(calls, 1_000), busiest(calls, 5_000)];
  t.diagnostic(`${calls.length} calls; busiest second at the IdP ${second}, busiest five seconds ${five}; allowed ${CALLS} a second`);
  // The gateway begins no more than that within any second (a test of the schedule says so). What the IdP sees may have
  // bunched on the way.
  assert.ok(second <= CALLS * (1 + UNDER_WAY), `${second} in a second`);
  assert.ok(five <= CALLS * (5 + UNDER_WAY), `${five} in five seconds`);
});

/** Everybody signs in, over and over, each time for a new session. */
async function signInAll() {
  const people = Array.from({ length: PEOPLE }, (_, n) => `p${n}`);
  const sessions = [];
  await Promise.all(Array.from({ length: HANDS }, async () => {
    for (let name = people.shift(); name; name = people.shift()) {
      const atIdp = new Jar();
      for (let n = 0; n < SESSIONS / PEOPLE; n += 1) sessions.push(await signIn(name, atIdp));
    }
  }));
  return sessions;
}

/** Signs in by hand, as a browser would; gives the cookies of the session. */
async function signIn(name, atIdp) {
  const atGateway = new Jar();
  // What fetch says of itself is a script; a person begins here.
  let [url, form] = [new URL('/oauth2/start?rd=/', origin), undefined];
  for (let hop = 0; hop < 15; hop += 1) {
    const jar = url.origin === origin ? atGateway : atIdp;
    const answer = await fetch(url, {
      method: form ? 'POST' : 'GET', body: form, redirect: 'manual',
      headers: { accept: 'text/html', cookie: jar.field(), ...(form && { origin: idp.issuer }) },
    });
    jar.take(answer.headers.getSetCookie());
    form = undefined;
    const text = await answer.text();
    if (answer.headers.get('location')) url = new URL(answer.headers.get('location'), url);
    else if (url.pathname.startsWith('/interaction/')) form = new URLSearchParams({ username: name, password: `${name}-password` });
    else if (url.pathname === '/oauth2/callback' && answer.status === 200) return atGateway.field();
    else throw new Error(`${name} is stuck at ${url.origin}${url.pathname}: ${answer.status} ${text.slice(0, 300)}`);
  }
  throw new Error(`${name} goes round in a circle`);
}

class Jar {
  #cookies = new Map();

  take(fields) {
    for (const field of fields) {
      const [pair] = field.split(';');
      const at = pair.indexOf('=');
      if (/;\s*max-age=0/i.test(field) || at === pair.length - 1) this.#cookies.delete(pair.slice(0, at));
      else this.#cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }

  field() { return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '); }
}

async function statuses(sessions) {
  const found = [];
  for (let n = 0; n < sessions.length; n += 50) {
    found.push(...await Promise.all(sessions.slice(n, n + 50).map(async (cookie) => {
      const answer = await fetch(`${origin}/`, { headers: { cookie }, redirect: 'manual' });
      await answer.arrayBuffer();
      return answer.status;
    })));
  }
  return found;
}

async function refreshesSince(moment) {
  return (await idp.refreshes()).filter(({ at, status }) => at >= moment && status === 200);
}

async function metric(line) {
  const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
  const found = text.split('\n').find((one) => one.startsWith(`${line} `));
  return found ? Number(found.slice(line.length)) : 0;
}

/** The most moments of a sorted list within any span of that many milliseconds. */
function busiest(moments, span) {
  let [most, first] = [0, 0];
  for (let last = 0; last < moments.length; last += 1) {
    while (moments[last] - moments[first] >= span) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

function seconds(since) { return (Date.now() - since) / 1000; }
