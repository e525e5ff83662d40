// A program that the tests run: what it said, when it is ready, that it ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as net from 'node:net';

const running = new Set();
// Asked, not forced: the apps' starters have a server and a directory to clear away.
process.on('exit', () => { for (const child of running) child.kill('SIGTERM'); });

export class Program {
  #child;
  #exited;

  /** Starts it. Its standard input stays open for as long as this process lives. */
  constructor(name, command, args, options = {}) {
    this.name = name;
    this.output = '';
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    this.#exited = once(this.#child, 'exit').catch((error) => { this.output += `${error}\n`; });
    running.add(this.#child);
    this.#exited.then((how) => {
      running.delete(this.#child);
      this.output += `--- ${name} ended (code, signal: ${how})\n`;
    });
    this.#child.stdin.on('error', () => {});
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { this.output += text; });
    }
  }

  get isRunning() {
    return running.has(this.#child) && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The first match of `pattern` in what it prints. */
  async says(pattern, milliseconds = 60_000) {
    return until(`${this.name} says ${pattern}`, () => {
      const match = this.output.match(pattern);
      if (!match && !this.isRunning) throw new Error(`${this.name} ended:\n${this.output}`);
      return match;
    }, milliseconds);
  }

  /** Asks it to end, and waits; after ten seconds it is no longer asked. */
  async stop(signal = 'SIGTERM') {
    if (!this.isRunning) return;
    this.#child.stdin.end();
    await this.ends(signal, 10_000);
  }

  /** Sends it a signal, and waits until it has ended; gives its exit code. */
  async ends(signal, milliseconds) {
    this.#child.kill(signal);
    const impatience = setTimeout(() => this.kill(), milliseconds);
    await this.#exited;
    clearTimeout(impatience);
    return this.#child.exitCode;
  }

  /** `kill -9`: no chance to write anything down. */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

/** Runs a program to its end: {code, output}. */
export async function run(command, args) {
  const program = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  program.stdout.setEncoding('utf8').on('data', (text) => { stdout += text; });
  program.stderr.setEncoding('utf8').on('data', (text) => { stderr += text; });
  const [code] = await once(program, 'close');
  return { code, stdout, stderr };
}

/** Asks until the answer is neither false nor empty, and gives it. For things that send no event. */
export async function until(what, ask, milliseconds = 10_000) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** A port of loopback that nobody listens on. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
