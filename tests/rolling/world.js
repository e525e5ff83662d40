// Three gateways with the same keys behind nginx, an app, an IdP, and many clients that note whatever goes wrong.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import * as http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Gateway } from '../browser/harness/gateway.js';
import { Idp } from '../browser/harness/idp.js';
import { freePort, Program, run, until } from '../browser/harness/process.js';
import { Browser } from '../forward/world.js';

const NGINX = '/usr/sbin/nginx';
const SECRET = 'the-secret-that-the-gateway-shares-with-the-idp';
const GATEWAYS = 3;
const HANDSHAKE = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
/** A text frame, masked with zeros as by a client that has nothing to hide. */
const PING = Buffer.from('\x81\x84\0\0\0\0ping', 'latin1');
const PONG = Buffer.from('\x81\x04pong', 'latin1');
/** How often a WebSocket says something. */
const EVERY = 500;
/** pingora-proxy 0.9.1 ends a tunnel at its beginning here and there (cloudflare/pingora#946); browsers try again, too. */
const TRIES = 20;

export class World {
  #programs = [];
  #browser = new Browser();
  #agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
  #rests = false;
  #clients = [];
  #told = [];
  #streams = new Set();
  #requests = { GET: 0, POST: 0 };
  #failed = { GET: [], POST: [], WebSocket: [] };
  #retried = 0;
  #closes = [];
  gateways = [];

  static async start(times) {
    const world = new World();
    try {
      await world.#build(times);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async #build({ lead, bound }) {
    this.bound = bound;
    this.port = await freePort();
    this.url = `http://wiki.localhost:${this.port}`;
    this.dir = await mkdtemp(join(tmpdir(), 'portcullis-rolling.'));
    this.app = http.createServer((request, response) => request.resume().on('end', () => response.end(`hello from the app, ${request.headers['x-forwarded-user']}`)));
    this.app.on('upgrade', (request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      socket.on('data', () => socket.write(PONG)).on('error', () => {}).on('end', () => socket.end());
    });
    this.app.listen(0, '127.0.0.1');
    await once(this.app, 'listening');
    this.idp = await Idp.start([{ client_id: 'portcullis', client_secret: SECRET, redirect_uris: [`${this.url}/oauth2/callback`] }]);
    this.#programs.push(this.idp.program);
    const ring = join(this.dir, 'ring.key');
    const { code, stderr } = await run(process.env.PORTCULLIS_BIN, ['keygen', ring]);
    if (code !== 0) throw new Error(`no key: ${stderr}`);
    this.addresses = [];
    for (let nth = 0; nth < GATEWAYS; nth += 1) {
      const [port, admin] = await Promise.all([freePort(), freePort()]);
      this.addresses.push(`127.0.0.1:${port}`);
      this.gateways.push(await Gateway.start(process.env.PORTCULLIS_BIN, {
        port, admin, ring, lead, bound, url: this.url, issuer: this.idp.issuer, clientSecret: SECRET,
        upstream: `http://127.0.0.1:${this.app.address().port}`,
      }, new URL('gateway.toml', import.meta.url)));
    }
    await this.#startNginx();
  }

  /** nginx with the example of deploy/, which says besides who answered. */
  async #startNginx() {
    if (!existsSync(NGINX)) throw new Error(`nginx is not at ${NGINX}: run tests/setup`);
    let site = await readFile(new URL('../../deploy/nginx/balancer.conf', import.meta.url), 'utf8');
    for (const [what, by] of [
      [/^ *ssl_certificate.*\n/gm, ''],
      ['listen 443 ssl;', `listen 127.0.0.1:${this.port} backlog=2048; add_header X-Tried $upstream_addr always;`],
      ['server_name wiki.example.com;', 'server_name wiki.localhost; keepalive_requests 1000000; keepalive_timeout 1h;'],
      ...this.addresses.map((address, nth) => [`10.0.0.1${nth + 1}:8080`, address]),
    ]) {
      if (site.replace(what, by) === site) throw new Error(`the example has no ${what}`);
      site = site.replace(what, by);
    }
    await writeFile(join(this.dir, 'site.conf'), site);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${this.dir}/${name};`);
    await writeFile(join(this.dir, 'nginx.conf'), `
      daemon off; master_process off; pid ${this.dir}/nginx.pid; error_log ${this.dir}/nginx.log warn;
      events { worker_connections 4096; }
      http { access_log off; ${temporary.join(' ')} include ${this.dir}/site.conf; }`);
    const program = new Program('nginx', NGINX, ['-c', join(this.dir, 'nginx.conf'), '-e', 'stderr']);
    this.#programs.push(program);
    await until('nginx answers', () => {
      if (!program.isRunning) throw new Error(`nginx ended:\n${program.output}`);
      return fetch(`http://127.0.0.1:${this.port}/oauth2/ready`).then((answer) => answer.ok, () => false);
    });
  }

  async signIn(name) {
    await this.#browser.signIn(this.url, name);
    this.headers = { host: new URL(this.url).host, cookie: this.#browser.cookies(this.url), accept: '*/*' };
  }

  async passes(milliseconds) {
    await new Promise((resolve) => { setTimeout(resolve, milliseconds); });
  }

  /** Gateway `nth` is about to be told to stop. */
  isTold(nth) {
    this.#told[nth] = Date.now();
  }

  /** So many connections, each with a request of that method every `pause` milliseconds. */
  opensConnections(count, pause, method = 'GET') {
    for (let nth = 0; nth < count; nth += 1) this.#clients.push(this.#asks((pause * nth) / count, pause, method));
  }

  async #asks(first, pause, method) {
    await this.passes(first);
    while (!this.#rests) {
      this.#requests[method] += 1;
      try {
        const request = http.request({ host: '127.0.0.1', port: this.port, path: '/', method, headers: this.headers, agent: this.#agent });
        request.end(method === 'POST' ? 'something' : undefined);
        const [response] = await once(request, 'response');
        let text = '';
        for await (const part of response.setEncoding('utf8')) text += part;
        if (response.headers['x-tried']?.includes(',')) this.#retried += 1;
        if (response.statusCode !== 200 || text !== 'hello from the app, ann') {
          this.#failed[method].push(`${response.statusCode}: ${text.slice(0, 100).replaceAll(/\s+/g, ' ')}`);
        }
      } catch (error) {
        this.#failed[method].push(`${error}`);
      }
      await this.passes(pause);
    }
  }

  /** So many WebSockets; each that is closed is opened again, as a browser's page does. */
  async opensWebSockets(count) {
    await Promise.all(Array.from({ length: count }, () => this.#opens()));
  }

  webSocketsOf(nth) {
    return [...this.#streams].filter((stream) => stream.gateway === nth).length;
  }

  /** Opens one and keeps it open; ends when it has been proved once. */
  async #opens() {
    for (let tries = 0; tries < TRIES && !this.#rests; tries += 1) {
      const stream = await this.#handshake().catch(() => undefined);
      if (stream) return;
    }
    if (!this.#rests) this.#failed.WebSocket.push('no WebSocket stays open');
  }

  async #handshake() {
    const request = http.get({ host: '127.0.0.1', port: this.port, path: '/ws', headers: { ...this.headers, ...HANDSHAKE }, agent: false });
    request.on('response', (response) => { response.resume(); request.destroy(new Error(`${response.statusCode}`)); });
    const [response, socket] = await once(request, 'upgrade');
    // The last one that was tried is the one that answered.
    const gateway = this.addresses.indexOf(response.headers['x-tried'].split(', ').at(-1));
    const stream = { gateway, code: undefined };
    const speaks = setInterval(() => socket.write(PING), EVERY);
    const proved = new Promise((resolve, reject) => {
      socket.on('data', (bytes) => {
        if (bytes.includes(PONG)) resolve();
        const close = bytes.indexOf('\x88', 0, 'latin1');
        if (close >= 0) stream.code = bytes.readUInt16BE(close + 2);
      });
      socket.on('error', () => {}).on('close', () => {
        clearInterval(speaks);
        if (this.#streams.delete(stream) && !this.#rests) this.#closed(stream);
        reject(new Error('it ended at its beginning'));
      });
    });
    socket.write(PING);
    await proved;
    this.#streams.add(stream);
    stream.socket = socket;
    return stream;
  }

  #closed({ gateway, code }) {
    const age = Date.now() - (this.#told[gateway] ?? Infinity);
    this.#closes.push({ gateway, code, age, early: !(age >= this.bound) });
    this.#clients.push(this.#opens());
  }

  /** Everybody rests: what happened? */
  async rests() {
    this.#rests = true;
    await Promise.all(this.#clients);
    return { requests: this.#requests, failed: this.#failed, retried: this.#retried, closes: this.#closes };
  }

  async stop() {
    this.#rests = true;
    for (const { socket } of this.#streams) socket.destroy();
    this.#agent.destroy();
    await Promise.all(this.gateways.map((gateway) => gateway.stop()));
    await Promise.all(this.#programs.map((program) => program.stop()));
    this.app?.closeAllConnections();
    this.app?.close();
    if (this.dir) await rm(this.dir, { recursive: true, force: true });
  }
}
