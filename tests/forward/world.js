// The gateway behind the real nginx and the real Envoy, run from the very files that deploy/ shows: only names, ports
// and the certificate lines are replaced.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Gateway } from '../browser/harness/gateway.js';
import { Idp } from '../browser/harness/idp.js';
import { freePort, Program, run, until } from '../browser/harness/process.js';

const NGINX = '/usr/sbin/nginx';
export const ENVOY = process.env.ENVOY;
const SECRET = 'the-secret-that-the-gateway-shares-with-the-idp';
const AUDIENCE = 'https://gateway.corp.example';
const deployed = (name) => readFile(new URL(`../../deploy/${name}`, import.meta.url), 'utf8');

export class World {
  #programs = [];

  static async start() {
    const world = new World();
    try {
      await world.#build();
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async #build() {
    [this.port, this.admin, this.nginx, this.envoy] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    this.wiki = `http://wiki.localhost:${this.nginx}`;
    this.files = `http://files.localhost:${this.envoy}`;
    this.dir = await mkdtemp(join(tmpdir(), 'portcullis-forward.'));
    this.app = http.createServer((request, response) => {
      const { method, url, headers } = request;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method, url, headers }));
    }).listen(0, '127.0.0.1');
    await once(this.app, 'listening');
    this.idp = await Idp.start([{
      client_id: 'portcullis',
      client_secret: SECRET,
      redirect_uris: [this.wiki, this.files].map((origin) => `${origin}/oauth2/callback`),
    }]);
    this.#programs.push(this.idp.program);
    this.gateway = await Gateway.start(process.env.PORTCULLIS_BIN, {
      port: this.port,
      admin: this.admin,
      issuer: this.idp.issuer,
      clientSecret: SECRET,
      wiki: this.wiki,
      files: this.files,
    }, new URL('gateway.toml', import.meta.url));
    await Promise.all([this.#startNginx(), ENVOY && this.#startEnvoy()]);
  }

  async #startNginx() {
    const site = replaced(await deployed('nginx/portcullis.conf'), [
      [/^ *ssl_certificate.*\n/gm, ''],
      ['listen 443 ssl;', `listen 127.0.0.1:${this.nginx};`],
      ['server_name wiki.example.com;', 'server_name wiki.localhost;'],
      ['server 127.0.0.1:8080;', `server 127.0.0.1:${this.port};`],
      ['server 10.0.0.5:8080;', `server 127.0.0.1:${this.app.address().port};`],
    ]);
    await writeFile(join(this.dir, 'site.conf'), site);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${this.dir}/${name};`);
    await writeFile(join(this.dir, 'nginx.conf'), `
      daemon off; master_process off; pid ${this.dir}/nginx.pid; error_log stderr warn;
      events {}
      http { access_log off; ${temporary.join(' ')} include ${this.dir}/site.conf; }`);
    await this.#startProxy('nginx', NGINX, ['-c', join(this.dir, 'nginx.conf'), '-e', 'stderr'], this.nginx);
  }

  async #startEnvoy() {
    const config = replaced(await deployed('envoy/portcullis.yaml'), [
      ['address: 0.0.0.0, port_value: 10000', `address: 127.0.0.1, port_value: ${this.envoy}`],
      ['"files.example.com", "files.example.com:*"', '"files.localhost", "files.localhost:*"'],
      ['http://127.0.0.1:8080', `http://127.0.0.1:${this.port}`],
      ['address: 127.0.0.1, port_value: 8080', `address: 127.0.0.1, port_value: ${this.port}`],
      ['address: 10.0.0.6, port_value: 8080', `address: 127.0.0.1, port_value: ${this.app.address().port}`],
    ]);
    const file = join(this.dir, 'envoy.yaml');
    await writeFile(file, config);
    const { code, stdout, stderr } = await run(ENVOY, ['--mode', 'validate', '-c', file, '-l', 'error']);
    if (code !== 0) throw new Error(`envoy does not take its example: ${stdout}${stderr}`);
    await this.#startProxy('envoy', ENVOY, ['-c', file, '-l', 'warn', '--concurrency', '1', '--use-dynamic-base-id'], this.envoy);
  }

  async #startProxy(name, command, args, port) {
    if (!existsSync(command)) throw new Error(`${name} is not at ${command}: run tests/setup`);
    const program = new Program(name, command, args);
    this.#programs.push(program);
    await until(`${name} answers`, () => {
      if (!program.isRunning) throw new Error(`${name} ended:\n${program.output}`);
      return ask(`http://127.0.0.1:${port}/`).then(() => true, () => false);
    });
  }

  /** The IdP says that every session of this address is over; it arrives through nginx. */
  async revoke(email) {
    const answer = await this.idp.pushSessionRevoked(email, {
      url: `${this.wiki}/oauth2/ssf/corp`,
      token: this.gateway.secrets['corp.push'],
      audience: AUDIENCE,
    });
    if (answer.status !== 202) throw new Error(`the revocation was answered ${answer.status}: ${answer.body}`);
  }

  async stop() {
    await this.gateway?.stop();
    await Promise.all(this.#programs.map((program) => program.stop()));
    this.app?.closeAllConnections();
    this.app?.close();
    if (this.dir) await rm(this.dir, { recursive: true, force: true });
  }
}

/** Replaces each; one that is not there any more means that the example changed and the test did not. */
function replaced(text, changes) {
  return changes.reduce((before, [what, by]) => {
    const after = before.replace(what, by);
    if (after === before) throw new Error(`the example has no ${what}`);
    return after;
  }, text);
}

/** Sends one request to loopback, whatever its host is called: {status, headers, body}. */
export async function ask(url, { method = 'GET', headers = {}, body, from, path } = {}) {
  const { host, port, pathname, search } = new URL(url);
  const request = http.request({
    host: '127.0.0.1', port, method, path: path ?? pathname + search, localAddress: from, agent: false, headers: { host, ...headers },
  });
  request.end(body);
  const [response] = await once(request, 'response');
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += part;
  return { status: response.statusCode, headers: response.headers, body: text };
}

/** Somebody with a browser: cookies by host name, redirects followed by hand. */
export class Browser {
  #jar = new Map();

  static PAGE = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
  static SCRIPT = { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' };

  cookies(url) {
    return [...this.#jar.get(new URL(url).hostname) ?? []].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  async ask(url, { headers = Browser.PAGE, ...options } = {}) {
    const cookie = this.cookies(url);
    const answer = await ask(url, { headers: { ...headers, ...(cookie && { cookie }) }, ...options });
    const jar = this.#jar.get(new URL(url).hostname) ?? new Map();
    this.#jar.set(new URL(url).hostname, jar);
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(name); else jar.set(name, value);
    }
    return answer;
  }

  /** From a page that asks for it through the IdP's form and back; gives the gateway's last page. */
  async signIn(url, name) {
    let answer = await this.ask(url);
    for (let hop = 0; hop < 12 && (answer.status === 302 || answer.status === 303); hop += 1) {
      url = new URL(answer.headers.location, url).href;
      answer = await this.ask(url);
      if (answer.status === 200 && url.includes('/interaction/')) {
        answer = await this.ask(url, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: `username=${name}&password=${name}-password`,
        });
      }
    }
    if (answer.status !== 200) throw new Error(`signing in ended at ${url} with ${answer.status}: ${answer.body}`);
    return answer;
  }
}
