// Ending sessions: who, what it would hit, and then doing it.
import { $, apps, ask, badge, change, count, el, head, kept, notice, number, show, table, watch, when } from './lib.js';

const form = $('kill');
const fields = form.elements;
const me = await ask('/api/me').catch((error) => { notice(error); throw error; });
const { status } = await ask('/api/now');
let counted = 0;

for (const { name } of status.apps) fields.app.append(el('option', { value: name }, name));
for (const { name } of status.idps) fields.idp.append(el('option', { value: name }, name));
if (status.idps.length > 1) fields.idp.prepend(el('option', { value: '', selected: true }, 'every provider'));
$('idp-label').hidden = status.idps.length < 2;

/** What is asked for; `null` while nobody is named. */
function request() {
  const kind = fields.kind.value;
  const value = fields.value.value.trim();
  if (kind !== 'everyone' && !value) return null;
  return {
    whom: kind === 'everyone' ? { everyone: true } : { [kind]: value },
    ...(fields.idp.value && status.idps.length > 1 ? { idp: fields.idp.value } : {}),
    ...(fields.app.value ? { apps: [fields.app.value] } : {}),
    mode: fields.mode.value,
    ...(fields.reason.value.trim() ? { reason: fields.reason.value.trim() } : {}),
  };
}

const includesMe = ({ whom }) => whom.everyone || whom.user === me.user || (me.email && whom.email?.toLowerCase() === me.email) || me.groups.includes(whom.group);

function inWords({ whom, mode, apps: where }) {
  const [[kind, value]] = Object.entries(whom);
  const who = kind === 'everyone' ? 'everyone' : `${kind} ${value}`;
  return { terminate: `Terminate every session of ${who}`, reestablish: `Ask for a new assertion of ${who}`, hold: `Hold ${who}: nobody in by that name` }[mode] + ` in ${apps(where)}`;
}

async function preview() {
  const asked = request();
  $('value-label').hidden = fields.kind.value === 'everyone';
  const mine = ++counted;
  if (!asked) return show('preview', el('p', { class: 'quiet' }, 'Name somebody to see what they have in flight.'));
  try {
    const { met, gateways, silent } = await change('/api/revocations', { ...asked, dry_run: true });
    if (mine !== counted) return;
    show('preview',
      includesMe(asked) ? el('p', { class: 'notice' }, 'This includes you: your own session in this console ends, too.') : null,
      el('dl', { class: 'numbers' }, [['people', met.people], ['sessions', met.sessions], ['exchanges', met.exchanges]].map(([what, many]) => el('div', {}, el('dt', {}, what), el('dd', {}, number(many))))),
      table('In flight, by app', [head('App'), head('People', 'number'), head('Sessions', 'number'), head('In flight')],
        met.apps.map((one) => [one.app, number(one.people), number(one.sessions), Object.entries(one.exchanges).map(([kind, many]) => `${number(many)} ${kind}`).join(', ')]),
        'Nothing of theirs is in flight at this moment.'),
      gateways?.length ? el('p', { class: 'help' }, `Counted at ${count(gateways.length, 'gateway')}.`) : null,
      silent?.length ? el('p', { class: 'notice' }, `Did not answer in time: ${silent.join(', ')}.`) : null,
      el('p', { class: 'help' }, 'Sessions are stored nowhere: who is signed in and idle is not counted here, and is met all the same.'));
  } catch (error) {
    if (mine === counted) show('preview', el('p', { class: 'notice bad' }, error.message));
  }
}

/** Asks once more, in words. */
function sure(asked) {
  const dialog = $('sure');
  $('sure-text').textContent = `${inWords(asked)}.`;
  dialog.showModal();
  return new Promise((resolve) => {
    $('sure-yes').onclick = () => { dialog.close(); resolve(true); };
    $('sure-no').onclick = () => dialog.close();
    dialog.onclose = () => resolve(false);
  });
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const asked = request();
  if (!asked) { fields.value.focus(); return show('result', el('p', { class: 'notice' }, 'Name somebody first.')); }
  if (!await sure(asked)) return;
  const button = form.querySelector('button');
  button.disabled = true;
  try {
    told(await change('/api/revocations', asked, Object.fromEntries(new FormData(form))));
  } catch (error) {
    show('result', el('p', { class: 'notice bad' }, error.message));
  } finally {
    button.disabled = false;
  }
  preview();
  lists();
});

function told(done) {
  show('result', el('p', { class: 'notice good' }, `Done: in force and on disk. ${count(done.cut, 'exchange')} ended. `,
    done.revocations.filter((one) => one.outcome).map((one) => el('a', { href: `/revocations#${one.outcome}` }, 'What it did'))));
}

async function act(path, body) {
  try {
    await change(path, body);
    notice();
  } catch (error) { notice(error); }
  lists();
}

const decide = (id, approve) => act('/api/approvals', { ids: [id], approve });

/** A hold in the words by which it can be lifted; `null` if it names more than one handle. */
function lifted({ whom, apps: where, issuer }) {
  const [, kind, value] = whom.match(/^(user|email|phone|session|device|tenant|group) (\S+)$/) ?? [];
  const names = status.idps.filter((one) => one.issuer === issuer).map((one) => one.name);
  if (whom !== 'everyone' && !kind) return null;
  return { whom: kind ? { [kind]: value } : { everyone: true }, idp: names[0], ...(where.length ? { apps: where } : {}) };
}

async function lists() {
  const [waiting, holds] = await Promise.all([ask('/api/approvals'), ask('/api/holds')]);
  show('waiting', table('Waiting for approval', [head('Whom'), head('Mode'), head('From'), head('Since'), head('Reason'), head('')],
    waiting.map((one) => [one.revocation.whom, badge(one.revocation.mode), one.stream ?? one.source, when(one.received_at), one.reason ?? '–',
      el('span', {}, el('button', { class: 'small', type: 'button', 'aria-label': `Approve ${one.revocation.whom}`, onclick: () => decide(one.id, true) }, 'Approve'), ' ',
        el('button', { class: 'small', type: 'button', 'aria-label': `Reject ${one.revocation.whom}`, onclick: () => decide(one.id, false) }, 'Reject'))]),
    'Nothing waits.'));
  show('holds', table('On hold', [head('Whom'), head('Where'), head('Since'), head('From'), head('Reason'), head('')],
    holds.map((one) => {
      const lift = lifted(one);
      return [one.whom, apps(one.apps), when(one.since), one.source, one.reason ?? '–',
        lift ? el('button', { class: 'small', type: 'button', 'aria-label': `Lift the hold on ${one.whom}`, onclick: () => act('/api/lifts', lift) }, 'Lift') : el('span', { class: 'quiet' }, 'lift by the command line')];
    }), 'Nobody is on hold.'));
}

let timer;
form.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(preview, 300); });

const before = kept();
const given = new URLSearchParams(location.search);
for (const kind of ['email', 'user', 'session', 'device', 'group', 'tenant']) {
  if (given.has(kind)) { fields.kind.value = kind; fields.value.value = given.get(kind); }
}
if (before) {
  for (const [name, value] of Object.entries(before)) if (fields[name]) fields[name].value = value;
  show('result', el('p', { class: 'notice' }, 'You are signed in afresh. What you entered is here again; nothing was done yet.'));
}
preview();
lists().catch(notice);
let beats = 0;
watch(() => { if (++beats % 3 === 0) lists().catch(notice); });
