// The whole story in a real browser, from the first login to the search of the logs.
//
//   PORTCULLIS_BIN=target/debug/portcullis node --test tests/browser/e2e.test.js
//
// One gateway serves all scenarios, one after another; each brings browsers of its own, and a login is always newer
// than the revocations of the scenarios before it.
import { after, test } from 'node:test';

import { World } from './harness/world.js';
import * as accessTokens from './scenarios/access-tokens.js';
import * as appSession from './scenarios/app-session.js';
import * as backchannel from './scenarios/backchannel.js';
import * as console_ from './scenarios/console.js';
import * as login from './scenarios/login.js';
import * as logs from './scenarios/logs.js';
import * as nodeRed from './scenarios/node-red.js';
import * as revalidation from './scenarios/revalidation.js';
import * as restart from './scenarios/restart.js';
import * as revocation from './scenarios/revocation.js';
import * as signOut from './scenarios/sign-out.js';
import * as stubbornIdp from './scenarios/stubborn-idp.js';
import * as tokens from './scenarios/tokens.js';

const SECONDS_PER_SCENARIO = 60;
const LINES_OF_LOG = 150;

const world = await World.start();
after(() => world.stop());

// The search of the logs comes last: it needs everything that the others left there.
const all = [login, revocation, appSession, tokens, accessTokens, nodeRed, backchannel, stubbornIdp, revalidation, console_, restart, signOut, logs];
for (const scenarios of all) {
  for (const [promise, scenario] of Object.entries(scenarios)) {
    test(promise.replaceAll('_', ' '), () => tell(scenario));
  }
}

async function tell(scenario) {
  const before = world.gateway.log.length;
  await world.nextSecond();
  try {
    await withinTime(scenario(world));
  } catch (error) {
    const said = world.gateway.log.slice(before).split('\n').slice(-LINES_OF_LOG).join('\n');
    console.error(`--- what the gateway said meanwhile\n${said}\n--- where the browser was\n${await world.whereabouts()}`);
    throw error;
  } finally {
    await world.closeBrowsers();
  }
}

/** The runner's own limit would let the scenario go on beside the next one; here its browsers close, which ends it. */
async function withinTime(scenario) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${SECONDS_PER_SCENARIO} s`)), SECONDS_PER_SCENARIO * 1000);
  });
  await Promise.race([scenario, limit]).finally(() => clearTimeout(timer));
}
