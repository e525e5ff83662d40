// A person signs out: the cookie goes, and a copy of it is worth nothing.
import assert from 'node:assert/strict';

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
