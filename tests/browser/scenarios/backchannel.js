// OpenID Connect Back-Channel Logout: a token with `sid` ends one session, a token with `sub` only ends them all.
import assert from 'node:assert/strict';

export async function a_logout_token_ends_the_one_session_that_it_names(world) {
  const url = `${world.wiki}/doku.php?id=start`;
  const [atWork, atHome] = [await world.visitor(), await world.visitor()];
  const [work, sidAtWork] = await signsInAndLearnsSid(world, atWork, url);
  const [home] = await signsInAndLearnsSid(world, atHome, url);

  assert.deepEqual(await world.idp.kill(sidAtWork), { answers: ['accepted'] });
  await work.reload();
  await atWork.isAskedToSignIn(work);
  await home.reload();
  await atHome.isAt(home, url);

  assert.deepEqual(await world.idp.killAllOf('ann'), { answers: [200] });
  await home.reload();
  await atHome.isAskedToSignIn(home);

  // A kill is a cut-off, not a ban.
  await world.nextSecond();
  await atHome.signsIn(home, 'ann');
  await atHome.isAt(home, url);
}

export async function a_logout_token_without_sid_ends_every_session_of_the_person(world) {
  const url = `${world.wiki}/doku.php?id=start`;
  const visitors = [await world.visitor(), await world.visitor()];
  const tabs = [];
  for (const ann of visitors) tabs.push(await ann.opensAs('ann', url));
  const ben = await world.visitor();
  const bystander = await ben.opensAs('ben', url);

  assert.deepEqual(await world.idp.killAllOf('ann'), { answers: [200] });
  for (const [n, tab] of tabs.entries()) {
    await tab.reload();
    await visitors[n].isAskedToSignIn(tab);
  }
  await bystander.reload();
  await ben.isAt(bystander, url);
}

/** Signs ann in and gives the tab and the `sid` that the IdP gave to this session. */
async function signsInAndLearnsSid(world, ann, url) {
  const known = new Set((await world.idp.sessions()).map(({ uid }) => uid));
  const tab = await ann.opensAs('ann', url);
  const [mine] = (await world.idp.sessions()).filter(({ uid }) => !known.has(uid));
  return [tab, mine.sids.portcullis];
}
