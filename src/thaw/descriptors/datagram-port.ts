/** The address of a socket while datagrams are put back: its own is taken only then. */
import { putTogether } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';
import { toAddress } from './socket-calls.js';

type Inet = OpenFileOf<'inet'>;

/** Where a `sockaddr`, and the header of a datagram behind its sender's, has the port. */
export const PORT = 2n;

/** A port that the kernel chooses for our socket, for the time being. */
export class TemporaryPort {
  readonly #name: bigint;

  constructor(
    readonly fd: number,
    readonly file: Inet,
    readonly label: string,
    readonly bench: Bench,
  ) {
    this.#name = bench.arena.reserve(32);
  }

  take(): Op[] {
    const { fd, label, bench } = this;
    const any = putTogether(new Uint8Array(this.file.family === 'ipv4' ? 4 : 16), 0);
    const length = bench.arena.bytes(Uint8Array.of(any.length, 0, 0, 0));
    return [
      toAddress('bind', fd, any, bench.arena, { label }),
      call('getsockname', [fd, this.#name, length], { label, text: `getsockname(${fd})` }),
    ];
  }

  /** Writes it down, in the order of bytes that it has there. */
  store(address: bigint): Op {
    const value = { cell: this.#name + PORT };
    return { op: 'store', address, width: 2, value, text: 'store the port' };
  }

  /** To connect a socket to nothing takes the address from it that it has not chosen itself. */
  giveBack(): Op {
    const { fd, label, bench } = this;
    return call('connect', [fd, bench.arena.bytes(new Uint8Array(16)), 16], {
      label,
      text: `connect(${fd}, AF_UNSPEC)`,
    });
  }
}
