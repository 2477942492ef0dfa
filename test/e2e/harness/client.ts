/** The other side of a server under test. */
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { within } from './running.js';

/** Ports that the kernel gives to nobody who does not ask for them (net.ipv4.ip_local_port_range). */
const FIRST = 20_000;
const LAST = 32_000;

/** A port of 127.0.0.1 that nobody listens at. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** A connection to a server of this machine. */
export class Client {
  readonly #socket: Socket;
  #received = '';
  #over = false;
  #wake: (() => void)[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#received += text;
      this.#notify();
    });
    socket.on('error', () => {}); // the connection is over, which is all that is asked
    socket.on('close', () => {
      this.#over = true;
      this.#notify();
    });
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    while (!done()) {
      await within(
        new Promise<void>((resolve) => this.#wake.push(resolve)),
        () => `${what}: ${JSON.stringify(this.#received.slice(-500))}`,
      );
    }
  }

  /** Sends a text or bytes and takes the answer up to the first match. @throws Error if the connection ends before */
  async ask(text: string | Uint8Array, answer: RegExp): Promise<string> {
    this.#socket.write(text);
    await this.#until(() => this.#over || answer.test(this.#received), `no answer ${answer}`);
    const match = answer.exec(this.#received);
    if (!match) throw new Error(`the connection ends without ${answer}: ${JSON.stringify(this.#received)}`);
    this.#received = this.#received.slice(match.index + match[0].length);
    return match[0];
  }

  /** Waits until the other side has closed the connection. */
  closed(): Promise<void> {
    return this.#until(() => this.#over, 'the connection stays');
  }
}

/** Connects to a port of 127.0.0.1 as soon as somebody listens there; the end of the test ends it. */
export async function connectTo(t: ExecutionContext<unknown>, port: number): Promise<Client> {
  const socket = await within(
    (async () => {
      for (;;) {
        const found = await attempt(port);
        if (found) return found;
        await sleep(10);
      }
    })(),
    () => `nobody listens at ${port}`,
  );
  t.teardown(() => socket.destroy());
  return new Client(socket);
}

function attempt(port: number): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNREFUSED' ? resolve(null) : reject(error),
    );
  });
}
