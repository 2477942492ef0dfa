/** Whether a datagram that was sent to a socket of ours has arrived there. */
import { O } from '../../fcntl.js';
import { SO, SOL } from '../../inet.js';
import { call } from '../calls.js';
import type { Cell, Op } from '../program.js';
import type { Bench } from './bench.js';
import { close } from './calls.js';

const CLOCK_MONOTONIC = 1;
/** Seconds after which waiting for a datagram of our own has failed, and milliseconds between two looks. */
const PATIENCE = 10;
const PAUSE = 1;

/** What is sent may arrive a moment later: the memory that the kernel counts for the socket tells. */
export class Arrival {
  readonly #timer: Cell;
  readonly #pollfd: bigint;
  readonly #before: bigint;
  readonly #after: bigint;
  readonly #length: bigint;

  constructor(
    readonly fd: number,
    readonly bench: Bench,
    readonly label: string,
  ) {
    const { arena } = bench;
    this.#timer = arena.cell(-1n);
    this.#pollfd = arena.bytes(Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)); // POLLIN
    this.#before = arena.reserve(8);
    this.#after = arena.reserve(8);
    this.#length = arena.bytes(Uint8Array.of(4, 0, 0, 0));
  }

  /** Begins to count the time. */
  begin(): Op[] {
    const { label, bench } = this;
    const time = Buffer.alloc(32); // struct itimerspec
    time.writeBigInt64LE(BigInt(PATIENCE), 16);
    return [
      call('timerfd_create', [CLOCK_MONOTONIC, O.CLOEXEC], { label, result: this.#timer }),
      call('timerfd_settime', [this.#timer, 0, bench.arena.bytes(time), 0], { label }),
      { op: 'store', address: this.#pollfd, width: 4, value: this.#timer },
    ];
  }

  /** Sends, and waits until it is there. */
  of(send: Op): Op[] {
    const { bench, label } = this;
    const [again, done] = [bench.mark(), bench.mark()];
    return [
      this.#look(this.#before),
      send,
      { op: 'mark', name: again },
      this.#look(this.#after),
      {
        op: 'compare',
        left: this.#before,
        right: this.#after,
        size: 4,
        check: { kind: 'equal', expected: 0, jump: done },
        text: 'compare SO_MEMINFO before, after',
      },
      call('poll', [this.#pollfd, 1, PAUSE], {
        label,
        check: { kind: 'equal', expected: 0 },
        reason:
          'what is sent does not arrive (a packet filter, or net.core.rmem_max); --datagrams=drop leaves it out',
      }),
      { op: 'jump', to: again },
      { op: 'mark', name: done },
    ];
  }

  end(): Op {
    return close(this.#timer);
  }

  #look(into: bigint): Op {
    const { fd, label } = this;
    return call('getsockopt', [fd, SOL.SOCKET, SO.MEMINFO, into, this.#length], {
      label,
      text: `getsockopt(${fd}, SO_MEMINFO)`,
    });
  }
}
