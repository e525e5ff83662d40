// Tokens that an app's own OAuth server makes for its phone apps: they need no cookie, and die with the session of the
// person who signed in for them.
import assert from 'node:assert/strict';

import { asks } from '../harness/phone.js';

const REVOKED = { status: 401, error: 'session_revoked', challenge: /^Bearer realm="oauth", error="invalid_token"/ };
const STALE = {
  status: 401,
  error: 'reestablish_required',
  challenge: /^Bearer realm="oauth", error="insufficient_user_authentication", .*max_age="\d+"/,
};
const NO_TOKEN = { status: 401, error: 'invalid_token', challenge: /^Bearer realm="oauth", error="invalid_token"/ };

export async function a_phone_works_with_sealed_tokens_and_never_holds_one_as_the_app_made_it(world) {
  const tap = world.taps.oauth;
  const [said, heard] = [tap.said.length, tap.heard.length];
  const ann = await signsInForAPhone(world, 'ann');
  await isServed(ann, 'ann');
  const second = await refreshes(ann);
  await isServed(second, 'ann');

  const raw = tap.tokens(said);
  assert.ok(raw.length >= 5, 'a code and two pairs of tokens were given out');
  for (const held of [ann.code, ann.access, ann.refresh, second.access, second.refresh]) {
    assert.match(held, /^pct1_/);
    assert.ok(!raw.some((token) => held.includes(token)), 'the app\'s own one went out');
  }
  const used = tap.heard.slice(heard).match(/^authorization: Bearer (.*)\r$/mi)[1];
  assert.ok(raw.includes(used), 'the app is given back what it gave out');

  // Whoever read the app's database has these, and they are good there.
  const mark = tap.heard.length;
  for (const token of raw) {
    isRefused(await me(world, token), NO_TOKEN);
    isRefused(await ann.phone.refreshes(token), NO_TOKEN);
    isRefused(await ann.phone.redeems({ code: token, verifier: 'v'.repeat(43) }), NO_TOKEN);
  }
  assert.equal(tap.heard.slice(mark), '', 'the app hears of none of them');

  const back = await second.phone.givesBack(second.refresh);
  assert.equal(back.status, 200, back.text);
  const answer = await me(world, second.access);
  assert.equal(answer.status, 401);
  assert.match(answer.challenge, new RegExp(`^Bearer realm="${world.oauth}"`), 'the app itself says no to what it took back');
}

export async function what_grew_from_a_terminated_session_stays_dead_whatever_happens_to_the_gateway(world) {
  const tap = world.taps.oauth;
  let ben = await signsInForAPhone(world, 'ben');
  const said = tap.said.length;
  const ann = await signsInForAPhone(world, 'ann');
  const unused = await ann.phone.isAuthorized(ann.browser, 'ann');
  const second = await refreshes(ann);
  const raw = tap.tokens(said);
  await isServed(second, 'ann');

  assert.equal((await world.pushSessionRevoked('ann@corp.example')).status, 202);
  const mark = tap.heard.length;
  for (const restarted of [false, true]) {
    if (restarted) {
      await world.gateway.kill();
      await world.gateway.run();
    }
    await allIsRefused();
    await isServed(ben, 'ben');
    ben = await refreshes(ben);
    await isServed(ben, 'ben');
  }

  await world.nextSecond();
  const third = await signsInForAPhone(world, 'ann', ann.browser);
  await isServed(third, 'ann');
  await isServed(await refreshes(third), 'ann');
  await allIsRefused();
  const told = tap.heard.slice(mark);
  assert.ok(!raw.some((token) => told.includes(token)), 'the app was given a token of the ended session');

  async function allIsRefused() {
    for (const pair of [ann, second]) {
      isRefused(await me(world, pair.access), REVOKED);
      isRefused(await pair.phone.refreshes(pair.refresh), REVOKED);
    }
    isRefused(await ann.phone.redeems(unused), REVOKED);
  }
}

export async function after_a_reestablishment_tokens_wait_for_their_owner_and_then_live_on(world) {
  const [ann, ben] = await Promise.all([signsInForAPhone(world, 'ann'), signsInForAPhone(world, 'ben')]);
  await world.gateway.revoke('--email', 'ann@corp.example', '--mode', 'reestablish');
  await annWaits();
  await isServed(ben, 'ben');

  await world.nextSecond();
  await (await world.visitor()).opensAs('ben', `${world.tomcat}/examples/servlets/`);
  await annWaits();
  await world.gateway.kill();
  await world.gateway.run();
  await annWaits();
  await isServed(ben, 'ben');

  // Anywhere, in any browser.
  await (await world.visitor()).opensAs('ann', `${world.tomcat}/examples/servlets/`);
  await isServed(ann, 'ann');
  await world.gateway.kill();
  await world.gateway.run();
  await isServed(ann, 'ann');
  await isServed(await refreshes(ann), 'ann');

  async function annWaits() {
    isRefused(await me(world, ann.access), STALE);
    isRefused(await ann.phone.refreshes(ann.refresh), STALE);
  }
}

export async function a_jwt_of_the_apps_stays_readable_and_counts_only_with_its_seal(world) {
  const said = world.taps.oauth.said.length;
  const ann = await signsInForAPhone(world, 'ann', undefined, 'tablet');
  const [, payload] = ann.access.split('.');
  assert.equal(JSON.parse(Buffer.from(payload, 'base64url')).sub, 'ann', 'the client can look into it');
  await isServed(ann, 'ann', '/api/me');
  await isServed(await refreshes(ann), 'ann', '/api/me');

  const raw = ann.access.split('.').slice(0, 3).join('.');
  assert.ok(world.taps.oauth.tokens(said).includes(raw), 'what the app made is a part of it');
  isRefused(await me(world, raw, '/api/me'), NO_TOKEN);
  isRefused(await me(world, ann.id, '/api/me'), NO_TOKEN);
  assert.equal((await world.pushSessionRevoked('ann@corp.example')).status, 202);
  isRefused(await me(world, ann.access, '/api/me'), REVOKED);
  isRefused(await me(world, raw, '/api/me'), NO_TOKEN);
}

/** Somebody signs in at the IdP in a browser, and her phone redeems the code that comes of it: what it holds then. */
async function signsInForAPhone(world, name, browser, client) {
  browser ??= await world.visitor();
  const phone = world.phone(client);
  const authorization = await phone.isAuthorized(browser, name);
  return { world, browser, phone, code: authorization.code, ...pairOf(await phone.redeems(authorization)) };
}

async function refreshes(held) {
  return { ...held, ...pairOf(await held.phone.refreshes(held.refresh)) };
}

function pairOf({ status, json, text }) {
  assert.equal(status, 200, text);
  return { access: json.access_token, refresh: json.refresh_token, id: json.id_token };
}

function me(world, token, path = '/me') {
  return asks(`${world.oauth}${path}`, { token });
}

async function isServed({ world, access }, name, path) {
  const { status, json, text } = await me(world, access, path);
  assert.equal(status, 200, text);
  assert.equal(json.sub, name);
}

function isRefused({ status, challenge, json, text }, expected) {
  assert.equal(status, expected.status, text);
  assert.equal(json?.error, expected.error, text);
  assert.match(challenge, expected.challenge);
}
