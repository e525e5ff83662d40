// Three gateways behind nginx (deploy/nginx/balancer.conf) are restarted in turn under 500 connections and 50 WebSockets:
// no request fails, and no WebSocket ends before the bound of the drain.
//
//   PORTCULLIS_BIN=target/debug/portcullis node --test tests/rolling/rolling.test.js
import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { World } from './world.js';

const CONNECTIONS = 500;
/** Besides those: nobody may send a POST twice, so these are counted and shown only. */
const POSTING = 50;
const WEBSOCKETS = 50;
/** Between two requests of one connection. */
const PAUSE = 1_000;
/** From SIGTERM until nobody is let in, and until what still runs is ended. */
const [LEAD, BOUND] = [1_500, 5_000];

const world = await World.start({ lead: LEAD, bound: BOUND });
after(() => world.stop());

test('a rolling restart of three gateways fails no request and ends no WebSocket before the bound', { timeout: 120_000 }, async (t) => {
  const began = Date.now();
  // Each of the redirects of this sign-in lands on another gateway.
  await world.signIn('ann');
  world.opensConnections(CONNECTIONS, PAUSE);
  world.opensConnections(POSTING, PAUSE, 'POST');
  await world.opensWebSockets(WEBSOCKETS);
  await world.passes(2_000);

  for (const [nth, gateway] of world.gateways.entries()) {
    const streams = world.webSocketsOf(nth);
    const told = Date.now();
    world.isTold(nth);
    const code = await gateway.drains();
    const drained = Date.now() - told;
    assert.equal(code, 0, gateway.log);
    await gateway.run();
    t.diagnostic(`gateway ${nth + 1}: ${streams} WebSockets, drained in ${drained} ms, back after ${Date.now() - told} ms`);
    assert.ok(streams > 0, 'the balancer gave it some');
    // The balancer has to notice that it is there again.
    await world.passes(2_500);
  }

  const { requests, failed, retried, closes } = await world.rests();
  const early = closes.filter(({ early }) => early);
  const coded = closes.filter(({ code }) => code === 1001);
  t.diagnostic(`${requests.GET} GETs over ${CONNECTIONS} connections in ${Math.round((Date.now() - began) / 1000)} s, ${failed.GET.length} failed`
    + ` (${retried} were sent again by the balancer); ${requests.POST} POSTs, ${failed.POST.length} failed`);
  t.diagnostic(`${closes.length} WebSockets were closed, ${early.length} before the bound of ${BOUND} ms, ${coded.length} with 1001;`
    + ` earliest ${Math.min(...closes.map(({ age }) => age))} ms after the order`);
  if (failed.POST.length) t.diagnostic(`POSTs: ${[...new Set(failed.POST)].join('; ')}`);
  assert.deepEqual(failed.GET, []);
  assert.deepEqual(failed.WebSocket, []);
  assert.deepEqual(early, []);
  // A Close frame is lost where the connection is reset, because the client said something at that very moment.
  assert.ok(coded.length >= closes.length * 0.8, `${coded.length} of ${closes.length} were told why`);
  assert.ok(closes.length >= WEBSOCKETS, 'each of them met a restart');
  assert.ok(requests.GET > CONNECTIONS * 3, `${requests.GET}`);
});
