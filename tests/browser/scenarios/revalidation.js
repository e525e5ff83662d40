// An IdP that sends nothing: an account is disabled there, and nobody tells the gateway.
import assert from 'node:assert/strict';

import { until } from '../harness/process.js';

const ECHO = '/examples/websocket/echoProgrammatic';
/** What the config says, and what a call and a page may take on top. */
const WITHIN = 3_000 + 1_500;

export async function a_disabled_account_loses_its_session_and_its_websocket_within_the_interval(world) {
  const url = `${world.checked}/examples/servlets/`;
  const [ann, ben] = [await world.visitor(), await world.visitor()];
  const hers = await ann.opensAs('ann', url);
  const his = await ben.opensAs('ben', url);
  await opensWebSocket(hers);
  // Over a few rounds, each with a new refresh token, and over a gateway that dies between them.
  const before = await rounds(world);
  await until('three rounds of checks', async () => (await rounds(world)) >= before + 6, 20_000);
  await world.gateway.kill();
  await world.gateway.run();
  await hers.reload();
  await ann.isAt(hers, url);
  await opensWebSocket(hers);

  const disabledAt = Date.now();
  await world.idp.disables('ann');
  try {
    const closedAt = await hers.evaluate(() => window.closed_at);
    console.log(`# the WebSocket closed ${closedAt - disabledAt} ms after the account was disabled`);
    assert.ok(closedAt - disabledAt < WITHIN, `it closed ${closedAt - disabledAt} ms after the account was disabled`);
    assert.equal((await ann.fetches(hers, '/examples/servlets/')).status, 401);
    await hers.reload();
    assert.equal(await ann.isAskedToSignIn(hers), 'login consent');
    await his.reload();
    await ben.isAt(his, url);
  } finally {
    await world.idp.disables('ann', false);
  }
  await world.nextSecond();
  await hers.goto(url);
  await ann.signsIn(hers, 'ann');
  await ann.isAt(hers, url);
}

export async function a_grant_that_is_taken_back_ends_its_session_within_the_interval(world) {
  const url = `${world.checked}/examples/servlets/`;
  const ben = await world.visitor();
  const tab = await ben.opensAs('ben', url);
  await opensWebSocket(tab);
  const revokedAt = Date.now();
  assert.ok((await world.idp.revokesGrantsOf('ben')).revoked > 0);
  const closedAt = await tab.evaluate(() => window.closed_at);
  assert.ok(closedAt - revokedAt < WITHIN, `it closed ${closedAt - revokedAt} ms after the grant was taken back`);
}

export async function a_page_goes_through_the_idp_unseen_and_an_account_that_is_disabled_there_is_out(world) {
  const url = `${world.silent}/examples/servlets/servlet/SessionExample`;
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', url);
  const id = await appSessionId(tab);
  const asked = async () => (await world.idp.authorizations()).filter((one) => one.client_id === 'silent' && one.prompt === 'none').length;
  const before = await asked();
  await due();
  await tab.goto(url);
  await ann.isAt(tab, url);
  assert.equal(await asked(), before + 1);
  assert.equal(await appSessionId(tab), id, 'it is the same session, and so is the app\'s');

  await world.idp.disables('ann');
  try {
    await due();
    await tab.goto(url);
    await ann.isAskedToSignIn(tab);
    assert.equal(await asked(), before + 2);
  } finally {
    await world.idp.disables('ann', false);
  }
}

/** The sessions of the config's interval are due. */
function due() {
  return new Promise((resolve) => { setTimeout(resolve, 3_100); });
}

async function rounds(world) {
  return (await world.idp.refreshes()).filter(({ client_id: client, status }) => client === 'checked' && status === 200).length;
}

async function opensWebSocket(tab) {
  await tab.evaluate((path) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}${path}`);
    window.closed_at = new Promise((closed) => { socket.addEventListener('close', () => closed(Date.now())); });
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error('the WebSocket did not open')));
  }), ECHO);
}

async function appSessionId(tab) {
  const [, id] = (await tab.locator('body').innerText()).match(/Session ID:?\s*([0-9A-F]{32})/);
  return id;
}
