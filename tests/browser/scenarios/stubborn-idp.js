// An IdP that answers a request for a fresh login with an old one.
import assert from 'node:assert/strict';

/** The redirect, one more try at the most, and the button. */
const FEW = 3;

export async function an_idp_that_ignores_prompt_login_gets_a_page_and_no_loop(world) {
  const url = `${world.wiki}/doku.php?id=start`;
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', url);
  await world.pushSessionRevoked('ann@corp.example');
  await world.nextSecond();

  const asked = (await world.idp.authorizations()).length;
  await world.idp.freezeAuthTime(true);
  try {
    await tab.reload();
    await ann.signsIn(tab, 'ann');
    await tab.getByRole('heading', { name: 'A new login is needed' }).waitFor();
    await tab.waitForLoadState('networkidle');
    assert.equal(new URL(tab.url()).origin, world.wiki, 'the page is the gateway\'s');
    const requests = (await world.idp.authorizations()).slice(asked);
    assert.ok(requests.length <= FEW, `${requests.length} requests went to the IdP`);
    for (const request of requests) {
      assert.deepEqual([request.prompt, request.max_age], ['login', '0']);
    }
  } finally {
    await world.idp.freezeAuthTime(false);
  }

  await tab.getByRole('link', { name: 'Try again' }).click();
  await ann.signsIn(tab, 'ann');
  await ann.isAt(tab, url);
}
