// A signal says that it is over: what dies, how fast, and the way back.
import assert from 'node:assert/strict';

const ECHO = '/examples/websocket/echoProgrammatic';
/** What "at once" means to somebody who watches. */
const AT_ONCE = 1000;

export async function after_a_security_event_only_a_fresh_login_leads_back(world) {
  const url = `${world.wiki}/doku.php?id=start`;
  const ann = await world.visitor();
  const ben = await world.visitor();
  const tab = await ann.opensAs('ann', url);
  const bystander = await ben.opensAs('ben', url);
  const stolen = await ann.context.cookies();

  const answer = await world.pushSessionRevoked('ann@corp.example');
  assert.deepEqual(answer, { status: 202, body: '' }, 'RFC 8935 §2.2');

  await tab.reload();
  assert.equal(await ann.isAskedToSignIn(tab), 'login', 'the IdP must ask again');
  await world.nextSecond();
  await ann.signsIn(tab, 'ann');
  await ann.isAt(tab, url);

  const thief = await world.visitor(stolen.filter(({ domain }) => domain === 'wiki.localhost'));
  assert.equal(await thief.isAskedToSignIn(await thief.opens(url)), 'login', 'copied cookies stay dead after the owner is back');

  await bystander.reload();
  await ben.isAt(bystander, url);
}

export async function an_operator_ends_a_session_from_the_command_line(world) {
  const url = `${world.tomcat}/examples/servlets/`;
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', url);
  await world.gateway.revoke('--email', 'Ann@corp.example', '--mode', 'terminate');
  await tab.reload();
  assert.equal(await ann.isAskedToSignIn(tab), 'login');
  await world.nextSecond();
  await ann.signsIn(tab, 'ann');
  await ann.isAt(tab, url);
}

export async function a_script_in_the_page_is_told_instead_of_redirected(world) {
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', `${world.wiki}/doku.php?id=start`);
  assert.equal((await ann.fetches(tab, '/doku.php?id=start')).status, 200);
  await world.pushSessionRevoked('ann@corp.example');

  const refused = await ann.fetches(tab, '/doku.php?id=start');
  assert.equal(refused.status, 401);
  assert.match(refused.type, /^application\/(problem\+)?json/);
  const { login_url: loginUrl } = JSON.parse(refused.text);
  assert.equal(new URL(loginUrl, tab.url()).origin, world.wiki, 'the way to sign in is on the same site');

  await world.nextSecond();
  await tab.goto(new URL(loginUrl, tab.url()).href);
  await ann.signsIn(tab, 'ann');
  await ann.isBackIn(tab, world.wiki);
  assert.equal((await ann.fetches(tab, '/doku.php?id=start')).status, 200);
}

export async function an_open_websocket_closes_at_once_and_a_neighbours_goes_on(world) {
  const [ann, ben] = [await world.visitor(), await world.visitor()];
  const hers = await ann.opensAs('ann', `${world.tomcat}/examples/servlets/`);
  const his = await ben.opensAs('ben', `${world.tomcat}/examples/servlets/`);
  for (const tab of [hers, his]) {
    await opensWebSocket(tab);
    assert.equal(await echoOf(tab, 'hello'), 'hello');
  }

  const cutAt = Date.now();
  await world.pushSessionRevoked('ann@corp.example');
  const closedAt = await hers.evaluate(() => window.closed_at);
  assert.ok(closedAt - cutAt < AT_ONCE, `it closed ${closedAt - cutAt} ms after the event was sent`);
  assert.equal(await echoOf(his, 'still here'), 'still here');
  assert.equal(await hers.evaluate((path) => new Promise((resolve) => {
    const again = new WebSocket(`ws://${location.host}${path}`);
    again.addEventListener('open', () => resolve('open'));
    again.addEventListener('error', () => resolve('refused'));
  }), ECHO), 'refused');
}

export async function a_silent_reassertion_keeps_the_apps_own_session(world) {
  const url = `${world.tomcat}/examples/servlets/servlet/SessionExample`;
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', url);
  const before = await appSessionId(tab);
  await world.gateway.revoke('--email', 'ann@corp.example', '--mode', 'reestablish');
  await world.nextSecond();
  // The IdP answers without a form, and the app's cookie is SameSite=Strict: it comes back only after a same-site hop.
  await tab.goto(url);
  await ann.isAt(tab, url);
  assert.equal(await appSessionId(tab), before);
}

async function opensWebSocket(tab) {
  await tab.evaluate((path) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}${path}`);
    window.socket = socket;
    window.closed_at = new Promise((closed) => { socket.addEventListener('close', () => closed(Date.now())); });
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error('the WebSocket did not open')));
  }), ECHO);
}

function echoOf(tab, text) {
  return tab.evaluate((sent) => new Promise((resolve, reject) => {
    window.socket.addEventListener('message', ({ data }) => resolve(data), { once: true });
    window.socket.addEventListener('close', () => reject(new Error('the WebSocket is closed')), { once: true });
    window.socket.send(sent);
  }), text);
}

async function appSessionId(tab) {
  const [, id] = (await tab.locator('body').innerText()).match(/Session ID:?\s*([0-9A-F]{32})/);
  return id;
}
