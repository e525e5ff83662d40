// The operators' console: every page of it, while others are at work, and a session that dies by it in another tab.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PICTURES = fileURLToPath(new URL(`../../../${process.env.CARGO_TARGET_DIR ?? 'target'}/console/`, import.meta.url));
const ECHO = '/examples/websocket/echoProgrammatic';

/** Each page, with what shows that it is there. */
const PAGES = [
  ['now', '/', '#verdict p'],
  ['kill', '/kill', '#holds p, #holds table'],
  ['revocations', '/revocations', '#list table'],
  ['people', '/people?who=ann@corp.example', '.graph'],
  ['streams', '/streams', '#streams .card'],
  ['apps', '/apps', '#apps .card'],
  ['explain', (world) => `/explain?url=${encodeURIComponent(`${world.wiki}/doku.php`)}&group=staff`, '#why table'],
];

export async function an_operator_ends_a_session_from_the_kill_page_and_it_dies_in_another_tab(world) {
  const [ann, ben] = [await world.visitor(), await world.visitor()];
  const hers = await ann.opensAs('ann', `${world.tomcat}/examples/servlets/`);
  await opensWebSocket(hers);
  const kill = await operates(ben, world, '/kill?email=ann@corp.example');
  await kill.locator('#preview dd').first().waitFor();
  assert.equal(await kill.locator('#preview .numbers div:first-child dd').textContent(), '1', 'one person is met');
  await kill.fill('[name=reason]', 'INC-4711: laptop stolen');
  await picture(kill, 'kill-preview');
  await kill.getByRole('button', { name: 'End these sessions…' }).click();
  await picture(kill, 'kill-sure');
  await kill.getByRole('button', { name: 'Yes, end them' }).click();

  assert.equal(await hers.evaluate(() => window.socket_closed), true, 'her WebSocket closes without being told');
  await kill.getByText('Done: in force and on disk').waitFor();
  await picture(kill, 'kill-done');
  await hers.reload();
  assert.equal(await ann.isAskedToSignIn(hers), 'login', 'only a newly proven sign-in leads back');

  await kill.getByRole('link', { name: 'What it did' }).click();
  await kill.locator('.timeline li').first().waitFor();
  assert.match(await kill.locator('.timeline').innerText(), /Received[\s\S]+In force[\s\S]+On disk[\s\S]+First refusal[\s\S]+What remains/);
  await picture(kill, 'revocations-outcome');
  const line = (await world.gateway.writings()).get('audit.log').split('\n').find((text) => text.includes('"operated"'));
  assert.deepEqual([JSON.parse(line).user, JSON.parse(line).action, JSON.parse(line).why], ['ben', 'revoke', 'INC-4711: laptop stolen']);
}

export async function every_page_of_the_console_is_whole_and_for_everybody(world) {
  const [ann, ben] = [await world.visitor(), await world.visitor()];
  const hers = await ann.opensAs('ann', `${world.tomcat}/examples/servlets/`);
  await opensWebSocket(hers);
  const tab = await operates(ben, world, '/');
  const wrong = [];
  tab.on('pageerror', (error) => wrong.push(String(error)));
  tab.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
  tab.on('request', (request) => request.url().startsWith(world.ops) || request.url().startsWith('data:') || wrong.push(`asks elsewhere: ${request.url()}`));
  await tab.getByText('Live', { exact: true }).waitFor();
  for (const scheme of ['light', 'dark']) {
    await tab.emulateMedia({ colorScheme: scheme });
    for (const [name, path, sign] of PAGES) {
      await tab.goto(world.ops + (typeof path === 'string' ? path : path(world)));
      await tab.locator(sign).first().waitFor();
      await tab.getByText('Live', { exact: true }).waitFor();
      assert.deepEqual(await complaintsOfAxe(tab), [], `axe-core, ${name}, ${scheme}`);
      await picture(tab, `${name}-${scheme}`);
    }
  }
  await tab.setViewportSize({ width: 400, height: 800 });
  await tab.goto(`${world.ops}/`);
  await tab.locator('#figures .figure').first().waitFor();
  assert.ok(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'a telephone shows it without scrolling sideways');
  await picture(tab, 'now-narrow');
  assert.deepEqual(wrong, []);
}

export async function the_console_can_be_worked_without_a_mouse(world) {
  const ben = await world.visitor();
  const tab = await operates(ben, world, '/kill');
  await tab.locator('#holds p, #holds table').first().waitFor();
  await tab.keyboard.press('Tab');
  assert.equal(await tab.evaluate(() => document.activeElement.className), 'skip', 'the first stop skips the menu');
  await tab.focus('[name=kind]');
  await tab.keyboard.press('Tab');
  await tab.keyboard.type('eve@elsewhere.example');
  await tab.keyboard.press('Enter');
  await tab.locator('dialog[open]').waitFor();
  await tab.keyboard.press('Escape');
  await tab.locator('dialog[open]').waitFor({ state: 'detached' });
  assert.equal(await tab.locator('#result').innerText(), '', 'nothing was done');
}

/** Somebody who is no operator is told so, and an operator who was ended sees it on the page. */
export async function the_console_lets_operators_in_and_tells_one_whose_session_ended(world) {
  const [ann, ben] = [await world.visitor(), await world.visitor()];
  const refused = await ann.opens(`${world.ops}/`);
  await ann.signsIn(refused, 'ann');
  await refused.locator('h1').waitFor();
  assert.doesNotMatch(await refused.locator('body').innerText(), /The last quarter of an hour/);
  const tab = await operates(ben, world, '/');
  await tab.getByText('Live', { exact: true }).waitFor();
  await world.gateway.revoke('--email', 'ben@corp.example');
  await tab.getByText('Your own session has ended').waitFor({ timeout: 20_000 });
  await picture(tab, 'now-ended');
}

async function operates(visitor, world, path) {
  const tab = await visitor.opens(world.ops + path);
  await tab.setViewportSize({ width: 1280, height: 860 });
  await visitor.signsIn(tab, 'ben');
  await visitor.isBackIn(tab, world.ops).catch(() => {});
  await tab.waitForURL((url) => url.origin === world.ops && !url.pathname.startsWith('/oauth2/'));
  return tab;
}

async function picture(tab, name) {
  await mkdir(PICTURES, { recursive: true });
  await tab.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}

/** What axe-core takes for serious or critical, in words. Its text goes in as the browser's own: the page's policy lets none in. */
async function complaintsOfAxe(tab) {
  await tab.evaluate(AXE);
  const { violations } = await tab.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join(' | ')}`);
}

function opensWebSocket(tab) {
  return tab.evaluate((path) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}${path}`);
    window.socket_closed = new Promise((closed) => { socket.addEventListener('close', () => closed(true)); });
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error('the WebSocket did not open')));
  }), ECHO);
}
