// One person: sessions, what grew in them, and what runs on it.
import { $, ask, badge, count, el, head, notice, number, show, svg, table, watch, when } from './lib.js';

const form = $('find');

async function find() {
  const who = form.elements.who.value.trim();
  const found = await ask(`/api/people?who=${encodeURIComponent(who)}`);
  if (found.last) {
    return show('person', el('section', { class: 'card' }, el('h2', {}, 'Last sign-ins'), table('Last sign-ins', [head('Who'), head('When'), head('App'), head('At'), head('Session')],
      found.last.map((one) => [el('a', { href: `?who=${encodeURIComponent(one.email ?? one.user)}` }, one.email ?? one.user), when(one.at), one.app, one.idp, el('code', {}, one.session)]),
      'Nobody signed in since this gateway started.')));
  }
  const kill = `/kill?${found.by === 'email' ? 'email' : 'user'}=${encodeURIComponent(found.who)}`;
  show('person', el('section', { class: 'card' },
    el('div', { class: 'head' }, el('h2', {}, found.who, ' ', found.on_hold ? badge('on hold', 'bad') : null), el('a', { href: kill }, 'End their sessions…')),
    found.sessions.length ? [
      el('p', { class: 'quiet' }, `${count(found.sessions.length, 'session')} known, ${count(found.exchanges, 'exchange')} in flight${found.more ? ' or more' : ''}.`),
      el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Session graph' }, graph(found)),
      table('Sessions', [head('Session'), head('Signed in'), head('To'), head('In flight', 'number'), head('')], found.sessions.map((one) => [
        one.id ? el('code', {}, one.id) : 'signed in elsewhere or earlier', one.signed_in_at ? when(one.signed_in_at) : '–', one.app ?? '–', number(flying(one)),
        one.sid ? el('a', { href: `/kill?session=${encodeURIComponent(one.sid)}` }, 'End this one…') : '–'])),
    ] : el('p', { class: 'quiet' }, 'Nothing is known of them here: no sign-in that is remembered, nothing in flight.')));
}

const flying = (session) => session.credentials.flatMap((one) => one.exchanges).reduce((all, one) => all + one.count, 0);

const COLUMNS = [0, 250, 500, 750];
const [NODE, ROW] = [200, 58];

/** Person → session → credential → what runs, from left to right. The table beside it says the same. */
function graph({ who, sessions }) {
  const nodes = [];
  const lines = [];
  let row = 0;
  const put = (column, y, text, sub, from, kind) => {
    const node = { column, y, text, sub, kind };
    nodes.push(node);
    if (from) lines.push([from, node]);
    return node;
  };
  const root = put(0, 0, who, count(sessions.length, 'session'), null, 'root');
  for (const session of sessions.slice(0, 12)) {
    const first = row;
    const at = put(1, 0, session.id ? `session ${session.id}` : 'a session', session.app ? `signed in to ${session.app}` : 'signed in elsewhere', root);
    for (const credential of session.credentials.slice(0, 8)) {
      const top = row;
      const it = put(2, 0, credential.sort, count(credential.exchanges.length, 'kind of use', 'kinds of use'), at);
      for (const use of credential.exchanges.slice(0, 6)) put(3, row++, `${use.count} × ${use.kind}`, use.app, it);
      it.y = (top + row - 1) / 2;
    }
    if (row === first) row += 1;
    at.y = (first + row - 1) / 2;
  }
  root.y = (row - 1) / 2;
  const middle = (node) => node.y * ROW + 24;
  const short = (text) => (text.length > 26 ? `${text.slice(0, 25)}…` : text);
  return svg('svg', { class: 'graph', viewBox: `-1 -1 ${COLUMNS[3] + NODE + 2} ${row * ROW}`, role: 'img', 'aria-label': `The session graph of ${who}; the table below says the same` },
    lines.map(([from, to]) => svg('path', { d: `M${COLUMNS[from.column] + NODE},${middle(from)} C${COLUMNS[to.column] - 25},${middle(from)} ${COLUMNS[from.column] + NODE + 25},${middle(to)} ${COLUMNS[to.column]},${middle(to)}` })),
    nodes.map((node) => svg('g', { class: node.kind },
      svg('rect', { x: COLUMNS[node.column], y: node.y * ROW, width: NODE, height: 48, rx: 8 }),
      svg('text', { x: COLUMNS[node.column] + 12, y: node.y * ROW + 20 }, short(node.text)),
      svg('text', { class: 'sub', x: COLUMNS[node.column] + 12, y: node.y * ROW + 37 }, short(node.sub)))));
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const who = form.elements.who.value.trim();
  history.replaceState(null, '', who ? `?who=${encodeURIComponent(who)}` : location.pathname);
  find().then(() => notice(), notice);
});
form.elements.who.value = new URLSearchParams(location.search).get('who') ?? '';
find().catch(notice);
let beats = 0;
watch(() => { if (++beats % 2 === 0) find().catch(notice); });
