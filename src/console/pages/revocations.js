// What revocations did: a list that keeps itself up to date, and each as a timeline.
import { $, amount, apps, ask, badge, count, el, head, notice, number, show, span, table, watch, when } from './lib.js';

let outcomes = [];
let more = false;

async function load() {
  ({ outcomes, more } = await ask(`/api/outcomes?limit=200&all=${$('all').checked}`));
  draw();
}

function draw() {
  const wanted = $('filter').value.trim().toLowerCase();
  const id = location.hash.slice(1);
  const shown = outcomes.filter((one) => [one.target, one.source, one.stream, one.idp, one.mode, one.reason, one.issuer, ...one.apps].join(' ').toLowerCase().includes(wanted));
  show('list', table('Revocations', [head('Whom'), head('When'), head('Mode'), head('From'), head('Cut', 'number'), head('Refused', 'number'), head('Back', 'number'), head('Left')],
    shown.map((one) => ({
      chosen: one.id === id,
      cells: [el('a', { href: `#${one.id}`, 'aria-current': one.id === id ? 'true' : undefined }, one.target), when(one.received_at), badge(one.mode), one.stream ?? one.source,
        number(Object.values(one.cut ?? {}).reduce((all, each) => all + each, 0)), number(one.refusals), amount(one.signed_in_again), left(one)],
    })), outcomes.length ? 'Nothing fits the filter.' : 'Nothing was revoked yet.'),
  more ? el('p', { class: 'help' }, 'Older ones are not in this list: `portcullis outcomes` has them.') : null);
}

function left({ left: { nothing, until }, lifted_at: lifted }) {
  if (nothing) return 'nothing';
  return until ? el('span', {}, 'until ', when(until)) : lifted ? 'lifted' : 'until it is lifted';
}

/** One outcome as what happened, in order. */
async function open() {
  const id = location.hash.slice(1);
  $('outcome').hidden = !id;
  draw();
  if (!id) return;
  const one = await ask(`/api/outcomes/${encodeURIComponent(id)}`);
  const step = (at, what, ...details) => ({ at, what, details });
  const cut = Object.entries(one.cut ?? {}).filter(([, many]) => many);
  const steps = [
    step(one.received_at, 'Received', `from ${one.stream ? `the stream ${one.stream}` : one.idp ? `${one.source} of ${one.idp}` : one.source}${one.redelivered ? `, sent again ${count(one.redelivered, 'time')}` : ''}`),
    step(one.in_force_at, 'In force', `whatever was asserted up to `, when(one.cut_off), ' is over'),
    one.cut && step(one.in_force_at, 'Cut', cut.length ? cut.map(([kind, many]) => `${number(many)} ${kind}`).join(', ') : 'nothing was in flight'),
    step(one.persisted_at, 'On disk', one.persisted_at ? 'it outlives a restart' : 'not yet: the sender was told to send it again'),
    step(one.first_refusal_at, 'First refusal', one.first_refusal_at ? `${count(one.refusals, 'request')} refused since, with ${amount(one.credentials.all)} different credentials` : 'nobody tried what it covers'),
    step(one.signed_in_again_at, 'Back by a new sign-in', one.signed_in_again_at ? `${amount(one.signed_in_again)} people` : 'nobody yet', one.sign_ins_refused ? `; ${count(one.sign_ins_refused, 'sign-in')} did not prove to be newer` : ''),
    one.mode === 'hold' && step(one.lifted_at, 'Lifted', one.lifted_at ? '' : 'not yet'),
    step(one.left.nothing ? one.left.until : undefined, 'What remains', one.left.nothing ? 'nothing that it covers can be alive' : one.left.until ? 'something that it covers could still come until ' : 'the hold stays until it is lifted', !one.left.nothing && one.left.until ? when(one.left.until) : ''),
  ].filter(Boolean);
  show('outcome-body',
    el('dl', { class: 'facts' }, [['Whom', one.target], ['Mode', badge(one.mode)], ['Where', apps(one.apps)], ['Reason', one.reason ?? '–'], ['People seen', amount(one.people)],
      ['Gateways', one.applied_by.length > 1 || one.behind.length || one.silent.length ? `applied by ${one.applied_by.join(', ')}${one.behind.length ? `; behind: ${one.behind.join(', ')}` : ''}${one.silent.length ? `; silent: ${one.silent.join(', ')}` : ''}` : undefined],
      ['Id', el('code', {}, one.id)]].filter(([, value]) => value !== undefined).map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
    el('h3', {}, 'What happened'),
    el('ol', { class: 'timeline' }, steps.map(({ at, what, details }) => el('li', { class: at ? undefined : 'open' },
      el('span', { class: 'when' }, at ? [when(at), at > one.received_at ? ` (+${span(at - one.received_at)})` : ''] : '–'),
      el('span', {}, el('b', {}, what), details)))));
}

$('filter').addEventListener('input', draw);
$('all').addEventListener('change', () => load().catch(notice));
addEventListener('hashchange', () => open().then(() => $('outcome-title').focus()).catch(notice));
await load().catch(notice);
if (location.hash) open().catch(notice);
let beats = 0;
watch(({ sample }) => {
  if (sample.revocations || sample.refused || ++beats % 5 === 0) load().then(() => location.hash && open()).catch(notice);
});
