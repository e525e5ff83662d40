// The gateway under test: the binary that $PORTCULLIS_BIN names, with a directory of its own.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Program, run, until } from './process.js';

const TEMPLATE = new URL('gateway.toml', import.meta.url);
const ENVIRONMENT = { ...process.env, RUST_BACKTRACE: '1' };
/** Files of its directory that hold secrets by design; everything else there must hold none. */
const SECRET_FILES = new Set(['admin.token', 'corp.push', 'corp.secret', 'ring.key']);

export class Gateway {
  #program;
  #logs = [];

  /** `places`: port, admin, issuer, audience, the client secret, and what else the template asks for. */
  static async start(binary, places, template = TEMPLATE) {
    const gateway = new Gateway();
    gateway.binary = binary;
    gateway.admin = `http://127.0.0.1:${places.admin}`;
    gateway.dir = await mkdtemp(join(tmpdir(), 'portcullis-gateway.'));
    try {
      await gateway.#writeFiles(places, template);
      await gateway.run();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  async #writeFiles(places, template) {
    const inDir = (name) => join(this.dir, name);
    this.secrets = { 'admin.token': secret(), 'corp.push': secret(), 'corp.secret': places.clientSecret };
    for (const [name, value] of Object.entries(this.secrets)) {
      await writeFile(inDir(name), `${value}\n`, { mode: 0o600 });
    }
    await this.does('keygen', inDir('ring.key'));
    this.secrets['ring.key'] = (await readFile(inDir('ring.key'), 'utf8')).trim();
    this.config = inDir('portcullis.toml');
    await writeFile(this.config, fill(await readFile(template, 'utf8'), { ...places, dir: this.dir }));
  }

  /** Starts it (again) and waits until it says that it is ready. */
  async run() {
    this.#program = new Program('gateway', this.binary, ['run', '-c', this.config], { env: ENVIRONMENT });
    this.#logs.push(this.#program);
    await until('the gateway is ready', () => {
      if (!this.#program.isRunning) throw new Error(`the gateway ended:\n${this.#program.output}`);
      return fetch(`${this.admin}/ready`).then((answer) => answer.ok, () => false);
    }, 30_000);
  }

  /** Tells it to end what it has begun, and waits; gives its exit code. */
  drains() { return this.#program.ends('SIGTERM', 60_000); }

  /** `kill -9`. */
  kill() { return this.#program.kill(); }

  /** `portcullis revoke …`, as an operator types it. */
  revoke(...words) { return this.does('revoke', '-c', this.config, ...words); }

  /** Runs one command to its end, and gives what it printed. */
  async does(...words) {
    const { code, stdout, stderr } = await run(this.binary, words);
    if (code !== 0) throw new Error(`portcullis ${words.join(' ')} ended with ${code}: ${stdout}${stderr}`);
    return stdout;
  }

  /** Everything it said, in all its lives. */
  get log() { return this.#logs.map((program) => program.output).join(''); }

  /** Everything it wrote: what it said, and the files it made. */
  async writings() {
    const files = (await readdir(this.dir, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !SECRET_FILES.has(entry.name));
    const texts = await Promise.all(files.map(async (file) => [file.name, await readFile(join(file.parentPath ?? file.path, file.name), 'latin1')]));
    return new Map([['log', this.log], ...texts]);
  }

  async stop({ keepFiles = false } = {}) {
    // At once: nobody is left who would have to be waited for.
    await this.#program?.stop('SIGINT');
    if (keepFiles) return;
    await rm(this.dir, { recursive: true, force: true });
  }
}

function fill(template, values) {
  return template.replace(/^[^#\n].*$/gm, (line) => line.replace(/\$\{(\w+)\}/g, (_, name) => {
    if (!(name in values)) throw new Error(`gateway.toml asks for \${${name}}`);
    return values[name];
  }));
}

function secret() {
  return randomBytes(32).toString('base64url');
}
