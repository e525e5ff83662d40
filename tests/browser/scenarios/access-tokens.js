// Access tokens of the IdP: programs work with them at an API behind the gateway, and a revocation ends them there.
import assert from 'node:assert/strict';

import { asks, Phone } from '../harness/phone.js';
import { until } from '../harness/process.js';

/** Answers with the header that it was sent, as JSON. */
const API = '/examples/servlets/servlet/RequestHeaderExample';
/** Whom a token is for decides its form at the IdP. */
const JWT = 'https://api.corp.example';
const OPAQUE = 'https://api.corp.example/opaque';
const ELSEWHERE = 'https://elsewhere.corp.example';

const NO_TOKEN = { status: 401, error: 'invalid_token', challenge: /^Bearer realm="api", error="invalid_token"/ };
const NO_PROOF = { status: 401, error: 'invalid_token', challenge: /^DPoP realm="api", error="invalid_dpop_proof", .*algs=".*ES256/ };
const REVOKED = {
  status: 401,
  error: 'session_revoked',
  challenge: /^Bearer realm="api", error="insufficient_user_authentication", .*max_age="\d+"/,
};

export async function programs_are_let_in_by_access_tokens_of_the_idp_and_the_app_is_told_whose(world) {
  const browser = await world.visitor();
  const [jwt, eve] = await Promise.all([signsInForAProgram(world, 'ann', JWT, { browser }), signsInForAProgram(world, 'eve', JWT)]);
  const opaque = await signsInForAProgram(world, 'ann', OPAQUE, { browser });
  assert.equal(jwt.access.split('.').length, 3);
  assert.ok(!opaque.access.includes('.'));
  for (const { access } of [jwt, opaque, await refreshes(jwt), await refreshes(opaque)]) {
    await isServed(world, access, 'ann');
  }

  const nothing = await asks(world.api + API);
  assert.deepEqual([nothing.status, nothing.challenge], [401, 'Bearer realm="api"']);
  const tab = await browser.context.newPage();
  const page = await tab.goto(world.api + API);
  assert.deepEqual([page.status(), tab.url()], [401, world.api + API], 'a browser is not sent to sign in either');

  const elsewhere = await signsInForAProgram(world, 'ann', ELSEWHERE, { browser });
  const others = { 'an ID token': jwt.id, 'a refresh token': jwt.refresh, 'for elsewhere': elsewhere.access, 'none at all': 'x' };
  for (const [what, token] of Object.entries(others)) isRefused(await asks(world.api + API, { token }), NO_TOKEN, what);

  const notHers = await asks(world.api + API, { token: eve.access });
  assert.equal(notHers.status, 403);
  assert.match(notHers.challenge, /error="insufficient_scope"/);
}

export async function a_bound_token_counts_only_with_a_fresh_proof_by_its_key(world) {
  const browser = await world.visitor();
  const url = world.api + API;
  for (const resource of [JWT, OPAQUE]) {
    const { phone, access } = await signsInForAProgram(world, 'ann', resource, { browser, key: Phone.key() });
    const proof = phone.proves('GET', url, access);
    const bears = (dpop, scheme = 'DPoP') => asks(url, { headers: { authorization: `${scheme} ${access}`, ...(dpop && { dpop }) } });
    assert.equal(whoTheAppWasTold(await bears(proof)), 'ann');
    const thief = world.cli(resource, Phone.key());
    const fresh = () => phone.proves('GET', url, access);
    for (const [what, answer] of Object.entries({
      'a proof that was used': bears(proof),
      'for another method': bears(phone.proves('POST', url, access)),
      'for another page': bears(phone.proves('GET', `${world.api}/examples/`, access)),
      'for another token': bears(phone.proves('GET', url, `${access}x`)),
      'by another key': bears(thief.proves('GET', url, access)),
      'none': bears(),
      'as a bearer token': bears(undefined, 'Bearer'),
      'as a bearer token, with a proof': bears(fresh(), 'Bearer'),
    })) {
      isRefused(await answer, NO_PROOF, `${what}, ${resource}`);
    }
    assert.equal(whoTheAppWasTold(await bears(fresh())), 'ann', 'none of that harmed it');
  }
}

export async function a_termination_ends_them_at_once_and_what_is_refreshed_from_the_same_grant(world) {
  const browser = await world.visitor();
  const [jwt, bens] = await Promise.all([signsInForAProgram(world, 'ann', JWT, { browser }), signsInForAProgram(world, 'ben', OPAQUE)]);
  const opaque = await signsInForAProgram(world, 'ann', OPAQUE, { browser });
  await isServed(world, jwt.access, 'ann');

  // What the IdP said of a token is used for a while. Now it cannot be asked again, so that is all that there is.
  await isServed(world, opaque.access, 'ann');
  await world.idp.hangsUpOnQuestionsAboutTokens(true);
  try {
    await isServed(world, opaque.access, 'ann');
    assert.equal((await world.pushSessionRevoked('ann@corp.example')).status, 202);
    isRefused(await asks(world.api + API, { token: opaque.access }), REVOKED);
  } finally {
    await world.idp.hangsUpOnQuestionsAboutTokens(false);
  }

  await world.nextSecond();
  const later = [await refreshes(jwt), await refreshes(opaque)];
  for (const restarted of [false, true]) {
    if (restarted) {
      await world.gateway.kill();
      await world.gateway.run();
    }
    for (const { access } of [jwt, opaque, ...later]) isRefused(await asks(world.api + API, { token: access }), REVOKED);
    await isServed(world, bens.access, 'ben');
  }

  for (const renewed of await Promise.all([JWT, OPAQUE].map((resource) => signsInForAProgram(world, 'ann', resource)))) {
    await isServed(world, renewed.access, 'ann');
    await isServed(world, (await refreshes(renewed)).access, 'ann');
  }
  isRefused(await asks(world.api + API, { token: (await refreshes(later[0])).access }), REVOKED);
}

export async function while_the_idp_cannot_be_asked_about_tokens_only_those_wait_that_it_must_be_asked_about(world) {
  const browser = await world.visitor();
  const page = `${world.tomcat}/examples/servlets/`;
  const [bens, tab] = await Promise.all([signsInForAProgram(world, 'ben', OPAQUE), browser.opensAs('ann', page)]);
  const jwt = await signsInForAProgram(world, 'ann', JWT, { browser });
  const opaque = await signsInForAProgram(world, 'ann', OPAQUE, { browser });
  const unknown = await refreshes(opaque);
  await isServed(world, bens.access, 'ben');
  await isServed(world, opaque.access, 'ann');
  // The IdP takes this one back, and tells nobody.
  assert.equal((await bens.phone.givesBack(bens.access)).status, 200);

  await world.idp.hangsUpOnQuestionsAboutTokens(true);
  try {
    const waits = await asks(world.api + API, { token: unknown.access });
    assert.equal(waits.status, 503);
    assert.match(waits.headers.get('retry-after'), /^\d+$/);
    await until('what it said before is used up', async () => (await asks(world.api + API, { token: opaque.access })).status === 503);
    await isServed(world, jwt.access, 'ann');
    await tab.reload();
    await browser.isAt(tab, page);
  } finally {
    await world.idp.hangsUpOnQuestionsAboutTokens(false);
  }
  for (const { access } of [unknown, opaque]) await isServed(world, access, 'ann');
  isRefused(await asks(world.api + API, { token: bens.access }), NO_TOKEN, 'what it took back, when it is asked again');
}

/** Somebody signs in at the IdP for a program of hers; gives the program, and what it holds then. */
async function signsInForAProgram(world, name, resource, { browser, key } = {}) {
  browser ??= await world.visitor();
  const phone = world.cli(resource, key);
  return { phone, ...pairOf(await phone.redeems(await phone.isAuthorized(browser, name))) };
}

async function refreshes(held) {
  return { ...held, ...pairOf(await held.phone.refreshes(held.refresh)) };
}

function pairOf({ status, json, text }) {
  assert.equal(status, 200, text);
  return { access: json.access_token, refresh: json.refresh_token, id: json.id_token };
}

async function isServed(world, token, name) {
  assert.equal(whoTheAppWasTold(await asks(world.api + API, { token })), name);
}

function whoTheAppWasTold({ status, json, text }) {
  assert.equal(status, 200, text);
  const { 'x-forwarded-user': user, 'x-forwarded-email': email } = Object.assign({}, ...json);
  assert.equal(email, `${user}@corp.example`);
  return user;
}

function isRefused({ status, challenge, json, text }, expected, what) {
  assert.equal(status, expected.status, `${what}: ${text}`);
  assert.equal(json?.error, expected.error, what);
  assert.match(challenge, expected.challenge, what);
}
