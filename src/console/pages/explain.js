// Why a request gets what it gets.
import { $, ask, el, notice, show, table, head, watch } from './lib.js';

const form = $('ask');

async function explain() {
  const fields = form.elements;
  const asked = new URLSearchParams({ url: fields.url.value.trim(), method: fields.method.value });
  if (fields.email.value.trim()) asked.set('email', fields.email.value.trim());
  for (const group of fields.groups.value.split(',').map((name) => name.trim()).filter(Boolean)) asked.append('group', group);
  history.replaceState(null, '', `?${asked}`);
  try {
    const { rows } = await ask(`/api/explain?${asked}`);
    show('why', table('What happens, and why', [head('What'), head('How')], rows.map(([what, how]) => [what, how])));
  } catch (error) {
    show('why', el('p', { class: 'notice bad' }, error.message));
  }
}

form.addEventListener('submit', (event) => { event.preventDefault(); explain().catch(notice); });
const given = new URLSearchParams(location.search);
if (given.has('url')) {
  for (const name of ['url', 'email', 'method']) if (given.has(name)) form.elements[name].value = given.get(name);
  form.elements.groups.value = given.getAll('group').join(', ');
  explain().catch(notice);
}
watch();
