// Coming in: who is let in, what the app learns, and where people land.
import assert from 'node:assert/strict';

export async function a_visitor_signs_in_and_sees_the_page_that_was_asked_for(world) {
  const ann = await world.visitor();
  const asked = `${world.wiki}/doku.php?id=start&do=show`;
  const tab = await ann.opens(asked);
  assert.equal(await ann.isAskedToSignIn(tab), null, 'a first visit needs no fresh proof');
  await ann.signsIn(tab, 'ann');
  await ann.isAt(tab, asked);
  assert.match(await tab.locator('body').innerText(), /primed by hand/);

  const [session, ...rest] = (await ann.context.cookies(world.wiki)).filter(({ name }) => name.startsWith('__Host-portcullis'));
  assert.deepEqual(rest.map(({ name }) => name), [], 'nothing is left of the flow');
  assert.equal(session.httpOnly, true);
  assert.equal(session.secure, true);
  assert.equal(session.sameSite, 'Lax');
}

export async function the_app_is_told_who_it_is_and_never_sees_our_cookies(world) {
  const ben = await world.visitor();
  await ben.context.setExtraHTTPHeaders({ 'X-Forwarded-Email': 'boss@corp.example', X_Forwarded_User: 'boss' });
  const url = `${world.tomcat}/examples/servlets/servlet/RequestHeaderExample`;
  const seen = await (await ben.opensAs('ben', url)).locator('body').innerText();
  assert.match(seen, /x-forwarded-email\s+ben@corp\.example/i);
  assert.match(seen, /x-forwarded-user\s+ben/i);
  assert.match(seen, /x-forwarded-groups\s+staff,admins/i);
  assert.doesNotMatch(seen, /boss/);
  assert.doesNotMatch(seen, /portcullis/i);
}

export async function the_second_app_asks_for_no_password(world) {
  const ann = await world.visitor();
  await ann.opensAs('ann', `${world.wiki}/doku.php`);
  const tab = await ann.opens(`${world.tomcat}/examples/servlets/`);
  await ann.isAt(tab, `${world.tomcat}/examples/servlets/`);
}

export async function somebody_outside_the_allowed_groups_is_told_so(world) {
  const eve = await world.visitor();
  const tab = await eve.opens(`${world.wiki}/doku.php`);
  await eve.signsIn(tab, 'eve');
  await tab.getByRole('heading', { name: 'You have no access to' }).waitFor();
  assert.doesNotMatch(await tab.locator('body').innerText(), /primed by hand/);
}

export async function the_wikis_own_login_works_behind_the_gateway(world) {
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', `${world.wiki}/doku.php?id=start&do=login`);
  await tab.fill('#dw__login [name=u]', 'ann');
  await tab.fill('#dw__login [name=p]', 'ann-password');
  await tab.check('#dw__login [name=r]');
  await tab.click('#dw__login button[type=submit]');
  await tab.getByText('Logged in as').first().waitFor();
  assert.equal(new URL(tab.url()).origin, world.wiki, 'the wiki redirects to the address that people type');
}

export async function tabs_that_began_together_all_arrive(world) {
  const ann = await world.visitor();
  const urls = ['start', 'wiki:welcome', 'wiki:syntax'].map((id) => `${world.wiki}/doku.php?id=${id}`);
  const tabs = await Promise.all(urls.map((url) => ann.opens(url)));
  for (const tab of tabs) await ann.isAskedToSignIn(tab);
  for (const [n, tab] of tabs.entries()) {
    await ann.signsIn(tab, 'ann');
    await ann.isAt(tab, urls[n]);
  }
  const again = await ann.opens(urls[0]);
  await ann.isAt(again, urls[0]);
}
