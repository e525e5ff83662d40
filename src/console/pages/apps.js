// The apps, as the gateway understood their rules.
import { ask, badge, el, head, notice, show, table, watch } from './lib.js';

const WHEN_BLIND = {
  serve: 'goes on as if nothing were',
  reestablish: 'everybody needs a new assertion, again and again',
  refuse: 'nobody is let in',
};
const names = (list, nothing) => (list.length ? list.map((name, at) => [at ? ' ' : '', el('code', {}, name)]).flat() : nothing);

async function draw() {
  const [apps, { status }] = await Promise.all([ask('/api/apps'), ask('/api/now')]);
  const health = Object.fromEntries(status.apps.map((one) => [one.name, one]));
  show('apps', apps.map((app) => {
    const well = health[app.name];
    const state = app.built_in ? badge('built in') : well && badge(`${well.healthy} of ${well.upstreams} well`, well.healthy === well.upstreams ? 'good' : well.healthy ? 'warn' : 'bad');
    return el('section', { class: 'card', 'aria-label': `App ${app.name}` },
      el('div', { class: 'head' }, el('h2', {}, app.name), el('span', {}, app.blind ? [badge('closed: blind', 'bad'), ' '] : null, state)),
      el('dl', { class: 'facts' }, [
        ['At', el('a', { href: app.url }, app.url)], ['IdP', app.idp], ['By', app.access], ['Admits', app.admits],
        ['When blind', WHEN_BLIND[app.when_blind]],
        ['Learned cookies', app.learns ? names(app.learned, 'none yet') : 'it does not learn'],
        ['Named cookies', app.session_cookies.length ? names(app.session_cookies) : undefined],
        ['Its own tokens', app.makes_tokens ? 'sealed where it makes them' : undefined],
        ['Signs out', app.sign_out ? 'by a path of its own, too' : undefined],
      ].filter(([, value]) => value !== undefined).map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
      app.rules.length ? table(`Rules of ${app.name}`, [head('Path'), head('By'), head('Admits')], app.rules.map((rule) => [el('code', {}, rule.path), rule.access, rule.admits])) : null);
  }));
}

draw().catch(notice);
let beats = 0;
watch(() => { if (++beats % 5 === 0) draw().catch(notice); });
