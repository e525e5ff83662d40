// An app's own session: copied together with the gateway's, and found in the browser by whoever signs in next.
import assert from 'node:assert/strict';

import { appsWithTheirOwnSession } from '../harness/own-session.js';
import { run } from '../harness/process.js';

export async function copied_cookies_are_refused_elsewhere_and_the_app_never_hears_of_it(world) {
  const stories = [];
  for (const app of appsWithTheirOwnSession(world)) {
    const story = await logsInAsAnn(world, app);
    const agent = await story.tab.evaluate(() => navigator.userAgent);
    const before = await replays(app.page, 'before', story.copied, agent);
    assert.equal(before.status, 200, app.name);
    assert.equal(app.knows(before.text), 'ann', `${app.name}: until then a copy is as good`);
    assert.ok(app.tap.heard.includes('replay=before'), `${app.name}: what arrives is heard`);
    stories.push({ ...story, agent });
  }

  const marks = stories.map(({ app }) => app.tap.heard.length);
  assert.equal((await world.pushSessionRevoked('ann@corp.example')).status, 202);
  for (const [n, { app, copied, own, values, agent }] of stories.entries()) {
    for (const [which, cookies] of Object.entries({ both: copied, ours: copied.filter(isOurs), own })) {
      const answer = await replays(app.page, which, cookies, agent);
      assert.equal(answer.status, 302, `${app.name}, ${which}`);
      assert.equal(new URL(answer.location).origin, world.idp.issuer, `${app.name}, ${which}`);
      assert.ok(!app.tap.heard.includes(`replay=${which}`), `${app.name} heard of ${which}`);
    }
    if (app.openPage) {
      await replays(app.openPage, 'open', copied, agent);
      assert.ok(app.tap.heard.includes('replay=open'), `${app.name}: what is open to everybody stays so`);
    }
    const told = app.tap.cookies(marks[n]).map(([, value]) => value);
    assert.ok(!values.some((value) => told.includes(value)), `${app.name} was given a cookie of the ended session`);
  }
}

export async function whoever_signs_in_after_a_revocation_finds_nothing_of_the_apps_old_session(world) {
  const stories = [];
  for (const app of appsWithTheirOwnSession(world)) {
    for (const next of ['ben', 'ann']) stories.push({ next, ...await logsInAsAnn(world, app) });
  }
  assert.equal((await world.pushSessionRevoked('ann@corp.example')).status, 202);
  await world.nextSecond();
  for (const story of stories) {
    await story.tab.goto(story.app.page);
    assert.equal(await story.browser.isAskedToSignIn(story.tab), 'login');
    await findsNothingOfIt(story);
  }
}

export async function whoever_signs_in_after_a_sign_out_finds_nothing_of_the_apps_old_session(world) {
  const [app] = appsWithTheirOwnSession(world);
  for (const next of ['ben', 'ann']) {
    const { tab, ...story } = await logsInAsAnn(world, app);
    await tab.goto(`${app.origin}/oauth2/sign_out`);
    await tab.click('#sign-out', { noWaitAfter: true });
    await tab.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await world.nextSecond();
    await tab.goto(app.page);
    await findsNothingOfIt({ next, tab, ...story });
  }
}

/** Ann, in a browser of her own, signs in at the IdP and logs in to the app; gives what there is to copy. */
async function logsInAsAnn(world, app) {
  const browser = await world.visitor();
  const began = app.tap.heard.length;
  const tab = await browser.opens(app.page);
  await browser.signsIn(tab, 'ann');
  await tab.waitForURL(app.page);
  await app.logsIn(tab, 'ann');
  assert.equal(app.knows(await tab.content()), 'ann');

  const copied = (await browser.context.cookies(app.page)).filter(({ httpOnly }) => httpOnly);
  const own = copied.filter((cookie) => !isOurs(cookie));
  const values = app.tap.cookies(began)
    .filter(([name]) => own.some((cookie) => cookie.name === name))
    .map(([, value]) => value);
  assert.ok(copied.some(isOurs) && own.length > 0 && values.length > 0, `${app.name}: two sessions`);
  for (const { value } of own) {
    assert.ok(!values.includes(value), `${app.name}: the browser never holds what the app gave out`);
  }
  return { app, browser, tab, copied, own, values };
}

/** `next` signs in where Ann was; with or without her cookies, the app knows nobody, and is shown nothing of hers. */
async function findsNothingOfIt({ app, browser, tab, own, values, next }) {
  const began = app.tap.heard.length;
  const who = `${app.name}, ${next}`;
  await browser.signsIn(tab, next);
  await tab.waitForURL(app.page);
  await isNobody();
  await browser.context.addCookies(own);
  await tab.goto(app.page);
  await isNobody();
  const kept = await browser.context.cookies(app.page);
  const forgotten = own.every(({ value }) => kept.every((cookie) => cookie.value !== value));
  assert.ok(forgotten, `${who}: the browser is told to forget`);

  await app.logsIn(tab, next);
  assert.equal(app.knows(await tab.content()), next, who);
  const told = app.tap.cookies(began).map(([, value]) => value);
  assert.ok(told.length > 0, `${who}: cookies are heard`);
  assert.ok(!values.some((value) => told.includes(value)), `${who}: the app was given a cookie of the ended session`);

  async function isNobody() {
    const page = await tab.content();
    assert.equal(app.knows(page), undefined, who);
    assert.ok(app.greets(page), `${who}: ${page.slice(0, 300)}`);
  }
}

/** The page with these cookies, as curl gets it that says it is the same browser. */
async function replays(page, marker, cookies, agent) {
  const url = new URL(page);
  url.searchParams.set('replay', marker);
  const jar = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
  const { code, stdout, stderr } = await run('curl', [
    '-sS', '-i', '--max-time', '10', '--noproxy', '*', '-A', agent, '-b', jar, '-H', 'Accept: text/html', url.href,
  ]);
  assert.equal(code, 0, stderr);
  const [head] = stdout.split('\r\n\r\n', 1);
  return {
    status: Number(head.split(' ')[1]),
    location: head.match(/^location: (.*)$/mi)?.[1],
    text: stdout.slice(head.length),
  };
}

function isOurs({ name }) {
  return name.startsWith('__Host-portcullis');
}
