// Everything at once: the IdP, the apps, the gateway in front of them, and browsers.
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { Gateway } from './gateway.js';
import { Idp } from './idp.js';
import { Phone } from './phone.js';
import { freePort, Program, until } from './process.js';
import { Tap } from './tap.js';
import { Visitor } from './visitor.js';

const APPS = new URL('../../apps/', import.meta.url);
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** No sandbox, as CI is root in a container; nothing that looks for hosts outside. */
const CHROMIUM_ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];
const CLIENT_SECRET = 'the-secret-that-the-gateway-shares-with-the-idp';
/** What the transmitter calls the gateway. */
const AUDIENCE = 'https://gateway.corp.example';
/** Cookies of the app with the OAuth server whose value stands in the paths of its pages, too; those are logged. */
const IN_ADDRESSES = new Set(['_interaction', '_interaction_resume']);
/** APIs as the IdP knows them: two names of the one behind the gateway, and one that is elsewhere. */
const RESOURCES = [
  { resource: 'https://api.corp.example', format: 'jwt', says: ['auth_time', 'sid', 'email', 'groups'] },
  { resource: 'https://api.corp.example/opaque', format: 'opaque', says: ['auth_time', 'sid', 'email', 'groups'] },
  { resource: 'https://elsewhere.corp.example', format: 'jwt', says: ['auth_time', 'sid', 'email', 'groups'] },
];

export class World {
  #programs = [];
  #taps = [];
  #secrets = new Set();

  static async start(binary = process.env.PORTCULLIS_BIN) {
    if (!binary) throw new Error('$PORTCULLIS_BIN does not name the gateway to test');
    const world = new World();
    try {
      await world.#build(binary);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async #build(binary) {
    const [port, admin] = await Promise.all([freePort(), freePort()]);
    this.wiki = `http://wiki.localhost:${port}`;
    this.tomcat = `http://tomcat.localhost:${port}`;
    this.red = `http://red.localhost:${port}`;
    this.oauth = `http://oauth.localhost:${port}`;
    this.api = `http://api.localhost:${port}`;
    this.checked = `http://checked.localhost:${port}`;
    this.silent = `http://silent.localhost:${port}`;
    this.ops = `http://ops.localhost:${port}`;
    const origins = [this.wiki, this.tomcat, this.red, this.oauth, this.ops];
    const [idp, browser, wiki, tomcat, red, oauth] = await Promise.all([
      Idp.start([{
        client_id: 'portcullis',
        client_secret: CLIENT_SECRET,
        redirect_uris: origins.map((origin) => `${origin}/oauth2/callback`),
        post_logout_redirect_uris: origins.map((origin) => `${origin}/oauth2/signed_out`),
        backchannel_logout_uri: `${this.wiki}/oauth2/backchannel-logout/corp`,
      }, ...['checked', 'silent'].map((name) => ({
        client_id: name,
        client_secret: CLIENT_SECRET,
        redirect_uris: [`${this[name]}/oauth2/callback`],
      })), {
        client_id: 'cli',
        application_type: 'native',
        redirect_uris: ['com.corp.cli:/cb'],
      }], RESOURCES),
      chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGUMENTS }),
      this.#startApp('dokuwiki'),
      this.#startApp('tomcat'),
      this.#startApp('node-red'),
      this.#startApp('oauth', this.oauth),
    ]);
    this.idp = idp;
    this.browser = browser;
    this.taps = { wiki, tomcat, oauth };
    this.#programs.push(idp.program);
    this.gateway = await Gateway.start(binary, {
      port,
      admin,
      issuer: idp.issuer,
      audience: AUDIENCE,
      clientSecret: CLIENT_SECRET,
      wiki_url: this.wiki,
      wiki_upstream: wiki.origin,
      tomcat_url: this.tomcat,
      tomcat_upstream: tomcat.origin,
      red_url: this.red,
      red_upstream: red.origin,
      oauth_url: this.oauth,
      oauth_upstream: oauth.origin,
      api_url: this.api,
      ops_url: this.ops,
      checked_url: this.checked,
      silent_url: this.silent,
    });
  }

  /** Starts an app and gives the tap on the way to it. */
  async #startApp(name, ...words) {
    const port = await freePort();
    const app = new Program(name, fileURLToPath(new URL(name, APPS)), [String(port), ...words]);
    this.#programs.push(app);
    await app.says(/^ready /m);
    const tap = await Tap.before(port);
    this.#taps.push(tap);
    return tap;
  }

  /** Somebody with a browser that has been nowhere yet, or that has these cookies. */
  async visitor(cookies = []) {
    const context = await this.browser.newContext();
    await context.addCookies(cookies);
    return new Visitor(context, { idp: this.idp.issuer, noteSecret: this.#noteSecret });
  }

  /** A program of somebody who works with the tokens of the app's own OAuth server: as `phone`, or as `tablet` (JWTs). */
  phone(name = 'phone') {
    return new Phone({ server: this.oauth, name, scope: name === 'tablet' ? 'openid read' : 'openid', noteSecret: this.#noteSecret });
  }

  /** A program that works with access tokens of the IdP for `resource`; bound to `key`, if there is one. */
  cli(resource, key) {
    return new Phone({ server: this.idp.issuer, name: 'cli', scope: 'openid read', resource, key, noteSecret: this.#noteSecret });
  }

  #noteSecret = (value) => this.#secrets.add(value);

  /** Every open tab with its first words, for a scenario that failed. */
  async whereabouts() {
    const tabs = this.browser.contexts().flatMap((context) => context.pages());
    const shown = await Promise.all(tabs.map(async (tab) => {
      const text = await tab.evaluate(() => document.documentElement.textContent.replace(/\s+/g, ' ')).catch(String);
      return `${tab.url()}\n    ${text.slice(0, 300)}`;
    }));
    return shown.join('\n');
  }

  async closeBrowsers() {
    await Promise.all(this.browser.contexts().map((context) => context.close()));
  }

  /** The IdP's stream says that this address's sessions are over; gives {status, body} of the gateway's answer. */
  pushSessionRevoked(email) {
    return this.idp.pushSessionRevoked(email, {
      url: `${this.wiki}/oauth2/ssf/corp`,
      token: this.gateway.secrets['corp.push'],
      audience: AUDIENCE,
    });
  }

  /** Signed times are whole seconds, and the same second counts as older: a login must be in a later one. */
  async nextSecond() {
    const second = Math.floor(Date.now() / 1000);
    await until('the clock moves on', () => Math.floor(Date.now() / 1000) > second);
  }

  /** Every cookie value, code and token on either side of the gateway, and every SET that was around. */
  async secrets() {
    const told = this.#taps.flatMap((tap) => {
      const cookies = tap.cookies().filter(([name]) => !IN_ADDRESSES.has(name));
      return [...cookies.map(([, value]) => value), ...tap.tokens()];
    });
    return [...this.#secrets, ...told, ...await this.idp.secrets(), ...Object.values(this.gateway.secrets)];
  }

  async stop() {
    await this.browser?.close();
    await this.gateway?.stop();
    for (const tap of this.#taps) tap.stop();
    await Promise.all(this.#programs.map((program) => program.stop()));
  }
}
