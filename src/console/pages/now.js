// How everything is, at a glance.
import { $, apps, ask, badge, count, el, head, notice, number, show, span, table, watch, when } from './lib.js';
import { figure } from './chart.js';

const KEPT = 450;
let samples = [];
let now = 0;

/** What needs somebody's attention, the worst first: [how bad, what, where]. */
function troubles(status) {
  const all = [];
  for (const reason of status.ready.reasons) all.push(['bad', reason]);
  if (!status.ledger.durable) all.push(['bad', 'the ledger cannot be written: revocations are in force, but not durable']);
  for (const { name, state, trouble } of status.streams) {
    if (['blind', 'gone'].includes(state)) all.push(['bad', `the stream ${name} is ${state}${trouble ? `: ${trouble}` : ''}`, '/streams']);
    if (['late', 'paused'].includes(state)) all.push(['warn', `the stream ${name} is ${state}`, '/streams']);
  }
  if (status.fleet && status.fleet.state !== 'fresh') all.push([status.fleet.state === 'stale' ? 'bad' : 'warn', `this gateway is ${status.fleet.state}: what others accepted may be missing here`]);
  for (const { name, state } of status.fleet?.gateways ?? []) {
    if (['silent', 'stale'].includes(state)) all.push(['warn', `the gateway ${name} is ${state}`]);
  }
  for (const { name, reachable } of status.idps) if (!reachable) all.push(['bad', `the identity provider ${name} does not answer: nobody can sign in with it`]);
  for (const { name, healthy, upstreams } of status.apps) {
    if (healthy < upstreams) all.push([healthy ? 'warn' : 'bad', `${name}: ${healthy} of ${upstreams} servers are well`, '/apps']);
  }
  if (status.awaiting_approval) all.push(['warn', `${number(status.awaiting_approval)} revocations wait for approval`, '/kill#waiting-title']);
  return all.sort(([a], [b]) => (a === b ? 0 : a === 'bad' ? -1 : 1));
}

function draw(minute, status) {
  show('figures',
    figure({ title: 'Revocations', value: minute.revocations, unit: 'in the last minute', samples, of: (one) => one.revocations, bad: true }),
    figure({ title: 'Requests refused', value: minute.refused, unit: 'in the last minute', samples, of: (one) => one.refused, bad: true }),
    figure({ title: 'Exchanges ended', value: minute.cut, unit: 'in the last minute', samples, of: (one) => one.cut, bad: true }),
    figure({ title: 'Live exchanges', value: minute.exchanges, unit: `now; ${number(minute.requests)} requests in the last minute`, samples, of: (one) => one.exchanges, adds: false }));
  if (!status) return;
  const found = troubles(status);
  $('verdict').className = `verdict ${found[0]?.[0] ?? ''}`;
  const good = `All is well. ${count(status.revocations, 'revoked subject')} in force, ${number(status.on_hold)} on hold.`;
  show('verdict', el('p', {}, found.length ? `${found.length === 1 ? 'One thing needs' : `${found.length} things need`} attention` : good),
    found.length ? el('ul', {}, found.map(([, what, where]) => el('li', {}, where ? el('a', { href: where }, what) : what))) : null);
  show('streams', table('Streams', [head('Stream'), head('State'), head('Last verified'), head('Events', 'number'), head('Refused', 'number')],
    status.streams.map((one) => [one.name, badge(one.state), one.last_sign_at ? when(one.last_sign_at) : 'never', number(one.accepted), number(one.refused)]),
    'There is no stream: signals come by logout tokens and operators only.'));
  const fleet = status.fleet;
  show('fleet', fleet
    ? table('Gateways', [head('Gateway'), head('State'), head('Heard'), head('Behind', 'number')],
      [[`${fleet.gateway} (this one)`, badge(fleet.state), fleet.age === null || fleet.age === undefined ? 'not yet' : `${span(fleet.age)} ago`, number(Math.max(0, fleet.last - fleet.heard))],
        ...fleet.gateways.map((one) => [one.name, badge(one.state), `${span(one.heard_ago)} ago`, one.behind === null || one.behind === undefined ? '?' : number(one.behind)])])
    : el('p', { class: 'quiet' }, `This gateway is alone. Version ${status.version}, since `, when(status.started_at), '.'));
}

async function latest() {
  const { outcomes } = await ask('/api/outcomes?limit=6');
  show('latest', table('Latest revocations', [head('Whom'), head('When'), head('Mode'), head('From'), head('Where'), head('Refused since', 'number')],
    outcomes.map((one) => [el('a', { href: `/revocations#${one.id}` }, one.target), when(one.received_at), badge(one.mode), one.stream ?? one.source, apps(one.apps), number(one.refusals)]),
    'Nothing was revoked yet.'));
}

const first = await ask('/api/now').catch((error) => { notice(error); throw error; });
now = first.now;
samples = first.series.length ? first.series : [{ at: now, exchanges: first.status.exchanges, requests: 0, refused: 0, revocations: 0, cut: 0 }];
draw(first.series.length ? first.minute : { ...first.minute, exchanges: first.status.exchanges }, first.status);
latest().catch(notice);
let beats = 0;
watch(({ sample, minute, status }) => {
  samples = [...samples.filter((one) => one.at !== sample.at), sample].slice(-KEPT);
  draw(minute, status);
  if (sample.revocations || sample.refused || ++beats % 5 === 0) latest().catch(notice);
});
