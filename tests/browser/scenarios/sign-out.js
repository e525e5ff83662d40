// A person signs out: the cookie goes, and a copy of it is worth nothing.
import assert from 'node:assert/strict';

import { appsWithTheirOwnSession } from '../harness/own-session.js';

export async function a_sign_out_ends_the_session_for_every_copy_of_its_cookie(world) {
  const url = `${world.wiki}/doku.php?id=start`;
  const [ann, elsewhere] = [await world.visitor(), await world.visitor()];
  const tab = await ann.opensAs('ann', url);
  const other = await elsewhere.opensAs('ann', url);
  const copied = await ann.context.cookies(world.wiki);

  await tab.goto(`${world.wiki}/oauth2/sign_out`);
  await tab.click('#sign-out', { noWaitAfter: true });
  await tab.getByRole('heading', { name: 'You are signed out' }).waitFor();
  assert.equal(new URL(tab.url()).origin, world.wiki, 'the way from the IdP leads back');
  const left = (await ann.context.cookies(world.wiki)).map(({ name }) => name);
  assert.ok(!left.some((name) => name.startsWith('__Host-portcullis')), `cookies after the sign-out: ${left}`);

  const copy = await world.visitor(copied);
  await copy.isAskedToSignIn(await copy.opens(url));
  await other.reload();
  await elsewhere.isAt(other, url);
}

export async function the_apps_own_button_ends_the_session_here_and_at_the_idp(world) {
  const [app] = appsWithTheirOwnSession(world);
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', app.page);
  await app.logsIn(tab, 'ann');
  const copied = await ann.context.cookies(app.origin);

  const began = app.tap.heard.length;
  await tab.locator('a[href*="do=logout"]').first().click({ noWaitAfter: true });
  await tab.locator('#sign-out').click({ noWaitAfter: true });
  await tab.getByRole('heading', { name: 'You are signed out' }).waitFor();
  assert.ok(app.tap.heard.slice(began).includes('do=logout'), 'the app hears it first');
  const left = (await ann.context.cookies(app.origin)).map(({ name }) => name);
  assert.ok(!left.some((name) => name.startsWith('__Host-portcullis')), `cookies after the sign-out: ${left}`);

  const copy = await world.visitor(copied);
  await copy.isAskedToSignIn(await copy.opens(app.page));
  await world.nextSecond();
  await tab.goto(app.page);
  await ann.signsIn(tab, 'ann');
  await tab.waitForURL(app.page);
  assert.equal(app.knows(await tab.content()), undefined, 'the wiki knows nobody');
}
