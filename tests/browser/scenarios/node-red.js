// An app that lives on its WebSocket: Node-RED's editor, whose page is told everything over /comms.
import assert from 'node:assert/strict';

/** What "at once" means to somebody who watches. */
const AT_ONCE = 1000;

export async function node_reds_editor_loses_its_socket_at_once_and_works_again_after_a_login(world) {
  const url = `${world.red}/`;
  const [ann, ben] = [await world.visitor(), await world.visitor()];
  const [hers, his] = [await ann.opens(url), await ben.opens(url)];
  const [socket, neighbours] = [await signsInToTheEditor(ann, hers, 'ann'), await signsInToTheEditor(ben, his, 'ben')];
  await primesThePump(hers);

  const closed = socket.waitForEvent('close').then(() => Date.now());
  const refusedAgain = new Promise((resolve) => {
    hers.on('websocket', (another) => another.once('socketerror', resolve));
  });
  assert.equal((await world.pushSessionRevoked('ann@corp.example')).status, 202);
  const acknowledged = Date.now();
  const late = await closed - acknowledged;
  const when = `${Math.abs(late)} ms ${late < 0 ? 'before' : 'after'} the revocation was acknowledged`;
  console.log(`Node-RED's socket closed ${when}`);
  assert.ok(late < AT_ONCE, `it closed ${when}`);

  // Every second the page tries to connect again.
  await refusedAgain;
  const refused = hers.waitForResponse((response) => response.url() === `${world.red}/inject/pump`);
  await pressesTheButton(hers);
  assert.equal((await refused).status(), 401, 'a click is told that it needs a sign-in');
  assert.equal(neighbours.isClosed(), false, 'the neighbour\'s socket goes on');
  await primesThePump(his);

  await hers.reload();
  assert.equal(await ann.isAskedToSignIn(hers), 'login', 'the next page is the IdP\'s');
  await world.nextSecond();
  await signsInToTheEditor(ann, hers, 'ann');
  await primesThePump(hers);
}

/** Signs in, waits until the editor is there and is told things over its socket, and gives that. */
async function signsInToTheEditor(person, tab, name) {
  const opened = tab.waitForEvent('websocket', isComms);
  await person.signsIn(tab, name);
  const socket = await opened;
  await tab.locator('#red-ui-header-button-deploy').waitFor();
  await tab.locator('#pump').waitFor();
  return socket;
}

/** One press of the button in the flow: a POST tells the runtime, and the socket brings what came of it. */
async function primesThePump(tab) {
  await tab.locator('#red-ui-tab-debug-link-button').click();
  const messages = tab.locator('.red-ui-debug-msg-payload', { hasText: 'primed' });
  const before = await messages.count();
  await pressesTheButton(tab);
  await messages.nth(before).waitFor();
}

function pressesTheButton(tab) {
  return tab.locator('#pump .red-ui-flow-node-button-button').click();
}

function isComms(socket) {
  return new URL(socket.url()).pathname === '/comms';
}
