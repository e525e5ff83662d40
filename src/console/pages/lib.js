// What every page of the console is made with. Text becomes text here, never HTML.

/** An element: `el('p', { class: 'quiet' }, 'text', child…)`; `onclick` and the like are listeners. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same in SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));
  return node;
}

export const $ = (id) => document.getElementById(id);

/** Shows `children` in the place of that id, unless they say what stands there already: nobody's focus is lost for nothing. */
export function show(id, ...children) {
  const place = $(id);
  const next = document.createElement('div');
  next.append(...children.flat(Infinity).filter(Boolean));
  const [before, after] = [place, next].map((one) => [...one.childNodes].map((node) => node.outerHTML ?? node.textContent).join(''));
  if (before !== after) place.replaceChildren(...next.childNodes);
}

/** What the gateway answers; throws what is wrong in its words. */
export async function ask(path) {
  return answered(await fetch(path, { headers: { accept: 'application/json' }, cache: 'no-store' }));
}

/**
 * Changes something. If that takes a fresh sign-in, the browser goes there and comes back to this page; what `keep` gives is
 * there again then (`kept()`).
 */
export async function change(path, body, keep) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-portcullis-console': '1' },
    body: JSON.stringify(body),
    cache: 'no-store',
  });
  const told = answer.status === 401 ? await answer.clone().json().catch(() => ({})) : {};
  if (told.error === 'fresh_login_required') {
    if (keep) sessionStorage.setItem(`kept ${location.pathname}`, JSON.stringify(keep));
    location.assign(told.login_url + encodeURIComponent(location.pathname + location.search));
    // The page is about to go: nothing more is to happen on it.
    return new Promise(() => {});
  }
  return answered(answer);
}

async function answered(answer) {
  const value = await answer.json().catch(() => ({}));
  if (answer.ok) return value;
  if (answer.status === 401) {
    over(value.login_url);
    throw new Error('Your session is over.');
  }
  throw Object.assign(new Error([value.error, value.remedy].filter(Boolean).join(': ') || `the gateway answered ${answer.status}`), { done: value.done });
}

/** What was under way when the browser left for a sign-in, once. */
export function kept() {
  const key = `kept ${location.pathname}`;
  const text = sessionStorage.getItem(key);
  sessionStorage.removeItem(key);
  return text && JSON.parse(text);
}

let ended = false;
/** The operator's own session is over. */
function over() {
  ended = true;
  link('lost', 'Session over');
  const back = `/oauth2/start?rd=${encodeURIComponent(location.pathname + location.search)}`;
  show('notice', el('p', { class: 'notice bad' }, 'Your own session has ended. What you see is no longer kept up to date. ', el('a', { href: back }, 'Sign in again')));
}

export function notice(error) {
  if (!ended) show('notice', error ? el('p', { class: 'notice bad' }, error.message ?? error) : null);
}

function link(state, text) {
  const place = $('link');
  place.className = state;
  if (place.textContent !== text) place.textContent = text;
}

/** Calls `seen` with each event of the gateway: {sample, minute, status}. */
export function watch(seen = () => {}) {
  const events = new EventSource('/api/events');
  events.addEventListener('open', () => link('live', 'Live'));
  events.addEventListener('now', (event) => { link('live', 'Live'); seen(JSON.parse(event.data)); });
  events.addEventListener('error', () => {
    link('lost', 'Not connected');
    // A stream that is refused does not try again; why it is refused is said to a script.
    if (events.readyState === EventSource.CLOSED) ask('/api/me').then(() => setTimeout(() => watch(seen), 3000), () => {});
  });
  addEventListener('pagehide', () => events.close());
}

/** A table; `rows` are lists of cells, a cell a text, a node, or {of, class}. The first cell of a row is its heading. */
export function table(caption, headings, rows, nothing) {
  if (!rows.length) return el('p', { class: 'quiet' }, nothing);
  const classes = headings.map((heading) => heading.class);
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, el('table', {},
    el('caption', {}, caption),
    el('thead', {}, el('tr', {}, headings.map(({ text, class: kind }) => (text ? el('th', { scope: 'col', class: kind }, text) : el('td', { class: kind }))))),
    el('tbody', {}, rows.map((row) => el('tr', { class: row.chosen ? 'chosen' : undefined }, (row.cells ?? row).map((cell, at) => (at === 0
      ? el('th', { scope: 'row' }, cell ?? '–') : el('td', { class: classes[at] }, cell ?? '–'))))))));
}

export const head = (text, kind) => ({ text, class: kind });

/** A moment: today only its time. */
export function when(seconds) {
  if (!seconds) return '–';
  const at = new Date(seconds * 1000);
  const today = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString('en-GB');
  const text = today ? time : `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')} ${time}`;
  return el('time', { datetime: at.toISOString() }, text);
}

/** A span in its largest unit. */
export function span(seconds) {
  const [size, unit] = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']].find(([size]) => Math.abs(seconds) >= size) ?? [1, 's'];
  return `${Math.round(seconds / size)} ${unit}`;
}

const KINDS = {
  live: 'good', fresh: 'good', late: 'warn', paused: 'warn', 'catching up': 'warn', blind: 'bad', gone: 'bad', stale: 'bad', silent: 'bad',
  terminate: 'bad', hold: 'warn',
};
export const badge = (word, kind = KINDS[word]) => el('span', { class: `badge ${kind ?? ''}` }, word);

export const number = (value) => (value ?? 0).toLocaleString('en');
export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;
export const amount = (value) => `${value.or_more ? 'at least ' : ''}${number(value.seen)}`;
export const apps = (names) => (names?.length ? names.join(', ') : 'every app');
