// The gateway dies the hard way: what it acknowledged stays in force, and who was in stays in.
import assert from 'node:assert/strict';

export async function a_kill_of_the_gateway_forgets_no_revocation_and_no_session(world) {
  const url = `${world.wiki}/doku.php?id=start`;
  const [ann, ben] = [await world.visitor(), await world.visitor()];
  const hers = await ann.opensAs('ann', url);
  const his = await ben.opensAs('ben', url);
  const stolen = await ann.context.cookies(world.wiki);

  assert.equal((await world.pushSessionRevoked('ann@corp.example')).status, 202);
  await world.gateway.kill();
  await world.gateway.run();

  const thief = await world.visitor(stolen);
  assert.equal(await thief.isAskedToSignIn(await thief.opens(url)), 'login');
  await hers.reload();
  assert.equal(await ann.isAskedToSignIn(hers), 'login');
  await his.reload();
  await ben.isAt(his, url);

  await world.nextSecond();
  await ann.signsIn(hers, 'ann');
  await ann.isAt(hers, url);
}

export async function an_operators_command_that_succeeded_survives_a_kill(world) {
  const url = `${world.wiki}/doku.php?id=start`;
  const ann = await world.visitor();
  const tab = await ann.opensAs('ann', url);
  await world.gateway.revoke('--email', 'ann@corp.example', '--mode', 'terminate');
  await world.gateway.kill();
  await world.gateway.run();
  await tab.reload();
  assert.equal(await ann.isAskedToSignIn(tab), 'login');
}
