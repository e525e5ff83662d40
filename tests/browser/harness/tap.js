// A tap on the way from the gateway to an app: it passes every byte on, and remembers what the app was told and said.
import { once } from 'node:events';
import * as net from 'node:net';

export class Tap {
  #server;
  #sockets = new Set();

  /** Listens on a port of its own in front of the app on `port`. */
  static async before(port) {
    const tap = new Tap(port);
    await once(tap.#server, 'listening');
    tap.origin = `http://127.0.0.1:${tap.#server.address().port}`;
    return tap;
  }

  constructor(port) {
    this.heard = '';
    this.said = '';
    this.#server = net.createServer((gateway) => {
      const app = net.connect(port, '127.0.0.1');
      gateway.on('data', (bytes) => { this.heard += bytes.toString('latin1'); });
      app.on('data', (bytes) => { this.said += bytes.toString('latin1'); });
      this.#join(gateway, app);
      this.#join(app, gateway);
    }).listen(0, '127.0.0.1').unref();
  }

  /** The cookies that the app was given from `since` on, each once: [name, value]. */
  cookies(since = 0) {
    const fields = [...this.heard.slice(since).matchAll(/^cookie: (.*)\r$/gmi)];
    const pairs = new Set(fields.flatMap(([, field]) => field.split('; ')));
    return [...pairs].map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
  }

  /** The codes and tokens that the app gave out from `since` on, as it made them. */
  tokens(since = 0) {
    const said = this.said.slice(since);
    const found = said.matchAll(/"(?:access|refresh|id)_token":"([^"]+)"|^location: .*[?&]code=([^&\s]+)/gmi);
    return [...new Set([...found].map(([, token, code]) => token ?? code))];
  }

  stop() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(from, to) {
    this.#sockets.add(from);
    from.pipe(to);
    from.on('error', () => {}).on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
