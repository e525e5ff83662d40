// Small time-series. What is drawn is said in words, too.
import { el, number, svg } from './lib.js';

const BUCKETS = 60;
const [WIDTH, HEIGHT] = [300, 52];

/** The last quarter of an hour of `samples` in 60 steps; `of` gives one sample's value; counts are added up, levels are not. */
function steps(samples, of, adds) {
  const now = samples.at(-1)?.at ?? 0;
  const values = Array(BUCKETS).fill(0);
  for (const sample of samples) {
    const bucket = BUCKETS - 1 - Math.floor((now - sample.at) / 15);
    if (bucket >= 0 && bucket < BUCKETS) values[bucket] = adds ? values[bucket] + of(sample) : Math.max(values[bucket], of(sample));
  }
  return values;
}

/** A figure with its chart. */
export function figure({ title, value, unit, samples, of, adds = true, bad = false }) {
  const values = steps(samples, of, adds);
  const most = Math.max(1, ...values);
  const label = `${title}: at most ${number(Math.max(...values))} in 15 seconds in the last quarter of an hour`;
  const x = (at) => (at * WIDTH) / BUCKETS;
  const y = (count) => HEIGHT - (count / most) * (HEIGHT - 2);
  let drawn;
  if (adds) {
    drawn = values.map((count, at) => (count ? svg('rect', {
      class: bad ? 'chart-bar bad' : 'chart-bar', x: x(at) + 0.5, y: y(count), width: WIDTH / BUCKETS - 1, height: HEIGHT - y(count), rx: 1,
    }) : null));
  } else {
    const line = values.map((count, at) => `${x(at) + WIDTH / BUCKETS / 2},${y(count)}`).join(' L');
    drawn = [svg('path', { class: 'chart-area', d: `M${x(0.5)},${HEIGHT} L${line} L${x(BUCKETS - 0.5)},${HEIGHT}Z` }), svg('path', { class: 'chart-line', d: `M${line}` })];
  }
  return el('div', { class: 'figure' },
    el('h3', {}, title),
    el('p', { class: 'number' }, number(value)),
    el('p', { class: 'unit' }, unit),
    svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
      drawn, svg('line', { class: 'chart-base', x1: 0, y1: HEIGHT, x2: WIDTH, y2: HEIGHT })));
}
