// The streams: whether what they should tell is known, and what can be done about it.
import { ask, badge, change, el, notice, number, show, span, watch, when } from './lib.js';

let busy = '';

async function act(name, deed) {
  busy = name;
  show('said', el('p', { class: 'notice' }, `${name}: ${deed} is under way…`));
  try {
    const done = await change(`/api/streams/${encodeURIComponent(name)}`, { do: deed });
    show('said', el('p', { class: 'notice good' }, `${name}: done; it is ${done.state}${done.verified_after === undefined ? '' : `, verified after ${number(done.verified_after)} ms`}.`));
  } catch (error) {
    show('said', el('p', { class: 'notice bad' }, `${name}: ${error.message}`));
  }
  busy = '';
}

function draw(streams) {
  if (!streams.length) return show('streams', el('p', { class: 'quiet' }, 'There is no stream in the config.'));
  const now = Date.now() / 1000;
  const moment = (at) => (at ? el('span', {}, when(at), ` (${span(Math.max(0, now - at))} ago)`) : 'never');
  show('streams', streams.map((one) => el('section', { class: 'card', 'aria-label': `Stream ${one.name}` },
    el('div', { class: 'head' }, el('h2', {}, one.name), badge(one.state)),
    el('dl', { class: 'facts' }, [
      ['From', one.issuer], ['Delivery', one.polled ? 'polled' : 'pushed'], ['So since', moment(one.since)], ['Last verified', moment(one.last_sign_at)],
      ['Last event', moment(one.last_event_at)], ['Lag', one.lag === null || one.lag === undefined ? undefined : span(one.lag)],
      ['Taken', number(one.accepted)], ['Refused', number(one.refused)], ['Polled by', one.leader ?? undefined],
      ['Trouble', one.trouble ?? one.poll_trouble ?? undefined],
    ].filter(([, value]) => value !== undefined).map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
    el('p', { class: 'actions' }, [['verify', 'Verify'], ['pause', 'Pause'], ['resume', 'Resume']].map(([deed, word]) => el('button', {
      class: 'small', type: 'button', disabled: busy === one.name, 'aria-label': `${word} ${one.name}`, onclick: () => act(one.name, deed),
    }, word))))));
}

const { status } = await ask('/api/now').catch((error) => { notice(error); throw error; });
draw(status.streams);
watch(({ status: next }) => next && draw(next.streams));
