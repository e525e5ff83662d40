// The pages that people see from the gateway, in a real browser: every language, by day and by night, with axe-core.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { Gateway } from './harness/gateway.js';
import { freePort } from './harness/process.js';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const LOGO = fileURLToPath(new URL('logo.svg', import.meta.url));
/** Where pictures of the pages go, if somebody wants to look at them. */
const PICTURES = process.env.PORTCULLIS_PICTURES;
const LANGUAGES = { en: 'You are signed out', de: 'Sie sind abgemeldet', fr: 'Vous êtes déconnecté', es: 'Ha cerrado la sesión', ja: 'サインアウトしました' };

let browser;
let gateway;
let places;

before(async () => {
  const [port, admin, nobody] = await Promise.all([freePort(), freePort(), freePort()]);
  places = { port, admin, nobody, clientSecret: 'a-secret-that-nobody-is-asked-for', colour: '#b00020', logo: LOGO };
  gateway = await Gateway.start(process.env.PORTCULLIS_BIN, places, new URL('pages.toml', import.meta.url));
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
  if (PICTURES) await mkdir(PICTURES, { recursive: true });
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** Opens `url` as somebody who reads `locale`, and gives {page, asked, violations}. */
async function looks(url, locale, colorScheme, name) {
  const context = await browser.newContext({ locale, colorScheme, viewport: { width: 900, height: 700 }, bypassCSP: false });
  try {
    const page = await context.newPage();
    const asked = [];
    const complaints = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('console', (message) => { if (/Content Security Policy/.test(message.text())) complaints.push(message.text()); });
    const answer = await page.goto(url);
    if (PICTURES) await page.screenshot({ path: `${PICTURES}/${name}-${locale}-${colorScheme}.png` });
    // The debugger's own evaluation is not held against the page's policy.
    await page.evaluate(AXE);
    const { violations } = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })');
    const shown = violations.map(({ id, impact, nodes }) => `${impact}: ${id}: ${nodes.map((node) => node.html).join(' ')}`);
    const lang = await page.getAttribute('html', 'lang');
    const width = await page.evaluate('document.querySelector(".logo").naturalWidth');
    return { status: answer.status(), text: await page.textContent('body'), lang, asked, complaints, shown, width };
  } finally {
    await context.close();
  }
}

test('every page is accessible and asks nobody else for anything, by day and by night', async () => {
  const wiki = `http://wiki.localhost:${places.port}`;
  const pages = [
    ['signed-out', `${wiki}/oauth2/signed_out`, 200],
    ['idp-unreachable', `${wiki}/`, 503],
    ['app-down', `${wiki}/open`, 502],
    ['not-found', `http://nobody.localhost:${places.port}/`, 421],
    ['not-found-here', `${wiki}/oauth2/nothing`, 404],
    ['bad-request', `${wiki}/oauth2/callback`, 400],
    ['not-under-way', `${wiki}/oauth2/callback?state=x&code=y`, 400],
  ];
  for (const [name, url, status] of pages) {
    for (const colorScheme of ['light', 'dark']) {
      const seen = await looks(url, 'en', colorScheme, name);
      assert.equal(seen.status, status, name);
      assert.deepEqual(seen.shown, [], `${name}, ${colorScheme}`);
      assert.deepEqual(seen.complaints, [], `${name}: the policy`);
      const hosts = new Set(seen.asked.map((asked) => new URL(asked).protocol === 'data:' ? 'data:' : new URL(asked).host));
      hosts.delete('data:');
      assert.deepEqual([...hosts], [new URL(url).host], `${name} asks its own host only`);
      assert.ok(seen.width > 0, `${name} shows the logo`);
      assert.match(seen.text, /Example Corp · Help desk/);
    }
  }
});

test('people read in their own language', async () => {
  for (const [locale, words] of Object.entries(LANGUAGES)) {
    for (const colorScheme of ['light', 'dark']) {
      const seen = await looks(`http://wiki.localhost:${places.port}/oauth2/signed_out`, locale, colorScheme, 'signed-out');
      assert.equal(seen.lang, locale);
      assert.ok(seen.text.includes(words), seen.text);
      assert.deepEqual(seen.shown, [], locale);
    }
  }
});
