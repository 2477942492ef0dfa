/**
 * TCP connections that are not carried: the program finds them closed by the peer, refused, or broken
 * off. That state cannot be set, so it is brought about: with a peer of our own on the loopback
 * interface, which sends what was still to be read, and goes.
 */
import { O } from '../../fcntl.js';
import { SO, SOCK, SOL } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call, type Extra, show, tolerate } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, setFlags } from './calls.js';
import { isPeekOffset, makeSocket, setInteger, setOption, setOptions, setSize } from './socket-calls.js';

type Inet = OpenFileOf<'inet'>;

const FIONREAD = 0x541b;
const SHUT_WR = 1;
const MSG_OOB = 1;
const MSG_PEEK = 2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_WAITALL = 0x100;
const MSG_NOSIGNAL = 0x4000;
const POLLHUP = 0x10;
/** Seconds after which waiting for ourselves has failed. */
const PATIENCE = 10;
/** What fits into any socket with the sizes that the kernel begins with. */
const FITS = 16384;
/** More than we will ever have to wait in line with. */
const BACKLOG = 16;

/** Brings a connection about, and to its end. */
export function makeEnded(file: Inet, ended: NonNullable<Inet['ended']>, place: Place, bench: Bench): Op[] {
  const { arena } = bench;
  const label = `cannot make a closed connection (${place.name})`;
  const listener = arena.cell();
  // The kernel writes the port that it chooses into this.
  const address = loopback(file.family);
  const at = arena.bytes(address);
  const length = arena.bytes(Uint8Array.of(address.length, 0, 0, 0));
  const attempt = ended === 'refused' || ended === 'failed';
  return [
    // First, at the lowest free number; what comes after it is closed again.
    ...bench.create(
      (closeOnExec) =>
        makeSocket(file, (closeOnExec ? O.CLOEXEC : 0) | (attempt ? SOCK.NONBLOCK : 0), { label }),
      place.at,
      place.closeOnExec,
    ),
    makeSocket(file, O.CLOEXEC, { label, result: listener }),
    call('bind', [listener, at, address.length], { label }),
    call('getsockname', [listener, at, length], { label }),
    ...(attempt
      ? [
          call('connect', [place.at, at, address.length], {
            label,
            check: tolerate('EINPROGRESS', 'ECONNREFUSED'),
          }),
        ]
      : connectAndEnd(
          file,
          ended === 'reset',
          place.at,
          { listener, at, size: address.length },
          label,
          bench,
        )),
    ...awaitEnd(place.at, label, file, bench),
    ...(file.urgent?.taken ? [takeUrgent(place.at, label, bench)] : []),
    ...(ended === 'failed' ? [takeError(place.at, label, bench)] : []),
    close(listener),
    // Some can be set only before a connection is made, and mean nothing after its end.
    ...setOptions(place.at, file, place.name, arena, { check: { kind: 'none' } }),
    // What can still be read is peeked at, too; TCP knows it since Linux 6.9.
    ...setOptions(place.at, { options: file.options.filter(isPeekOffset), filter: null }, place.name, arena),
    setFlags(place.at, file.flags, { label }),
  ];
}

/** 127.0.0.1 with any port; for an IPv6 socket as one of its addresses, as a host may have no ::1. */
function loopback(family: Inet['family']): Uint8Array {
  const v4 = [127, 0, 0, 1];
  return family === 'ipv4'
    ? Uint8Array.of(2, 0, 0, 0, ...v4, 0, 0, 0, 0, 0, 0, 0, 0)
    : Uint8Array.of(10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...v4, 0, 0, 0, 0);
}

function connectAndEnd(
  { input, urgent }: Inet,
  reset: boolean,
  fd: number,
  { listener, at, size }: { listener: Operand; at: bigint; size: number },
  label: string,
  bench: Bench,
): Op[] {
  const { arena } = bench;
  const far = arena.cell();
  const [again, ours] = [bench.mark(), bench.mark()];
  const [own, its] = [arena.reserve(size), arena.reserve(size)];
  const length = arena.bytes(Uint8Array.of(size, 0, 0, 0));
  const big = input.length > FITS;
  const patience = Buffer.alloc(16); // struct timeval
  patience.writeBigInt64LE(BigInt(PATIENCE), 0);
  const limit = (whose: Operand, option: number, time: Uint8Array): Op =>
    setOption(whose, SOL.SOCKET, option, time, arena, { label });
  return [
    call('listen', [listener, BACKLOG], { label }),
    limit(listener, SO.RCVTIMEO, patience),
    limit(fd, SO.SNDTIMEO, patience),
    ...(big ? setSize(fd, SO.RCVBUF, 4 * input.length, arena, { label }) : []),
    call('connect', [fd, at, size], { label }),
    call('getsockname', [fd, own, length], { label }),
    // Another program may have come in between.
    { op: 'mark', name: again },
    call('accept4', [listener, its, length, O.CLOEXEC], { label, result: far }),
    {
      op: 'compare',
      left: own,
      right: its,
      size,
      check: { kind: 'atleast', expected: 1, jump: ours },
      text: 'compare own address, address of the peer',
    },
    close(far),
    { op: 'jump', to: again },
    { op: 'mark', name: ours },
    ...(input.length > 0 ? [limit(far, SO.SNDTIMEO, patience)] : []),
    ...piecesOf(input, urgent).map(({ piece, flag }) => send(far, piece, flag, input, label, arena)),
    ...(reset ? [limit(far, SO.LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0))] : []),
    ...(reset && input.length > 0
      ? [
          // Whatever is on its way still is thrown away by the reset.
          limit(fd, SO.RCVTIMEO, patience),
          awaitInput(fd, input, label),
          limit(fd, SO.RCVTIMEO, new Uint8Array(16)),
        ]
      : []),
    close(far),
    ...(reset ? [] : [call('shutdown', [fd, SHUT_WR], { label })]),
    limit(fd, SO.SNDTIMEO, new Uint8Array(16)),
  ];
}

/** What is sent by one call each: the last byte of a piece with MSG_OOB is urgent. */
function piecesOf(input: Uint8Array, urgent: Inet['urgent']): { piece: Uint8Array; flag: number }[] {
  const ends = urgent ? [urgent.at, urgent.at + 1, input.length] : [input.length];
  return ends
    .map((end, i) => ({
      piece: input.subarray(ends[i - 1] ?? 0, end),
      flag: urgent && i === 1 ? MSG_OOB : 0,
    }))
    .filter(({ piece }) => piece.length > 0);
}

function send(
  far: Operand,
  piece: Uint8Array,
  flag: number,
  input: Uint8Array,
  label: string,
  arena: Bench['arena'],
): Op {
  const flags = `${flag === MSG_OOB ? 'MSG_OOB|' : ''}MSG_NOSIGNAL`;
  return call('sendto', [far, arena.bytes(piece), piece.length, MSG_NOSIGNAL | flag, 0, 0], {
    ...tooMuch(input, label),
    check: { kind: 'equal', expected: piece.length },
    text: `sendto(${show(far)}, [${piece.length} bytes], ${piece.length}, ${flags}, NULL, 0)`,
  });
}

/** Looks at as much without a place to put it. */
function awaitInput(fd: number, input: Uint8Array, label: string): Op {
  return call('recvfrom', [fd, 0, input.length, MSG_PEEK | MSG_TRUNC | MSG_WAITALL, 0, 0], {
    ...tooMuch(input, label),
    check: { kind: 'equal', expected: input.length },
    text: `recvfrom(${fd}, NULL, ${input.length}, MSG_PEEK|MSG_TRUNC|MSG_WAITALL, NULL, NULL)`,
  });
}

function tooMuch(input: Uint8Array, label: string): Extra {
  return {
    label,
    reason: `its ${input.length} bytes that were not read yet do not fit into a socket that this user may make (net.core.rmem_max)`,
  };
}

/** Waits until the socket knows of its end, and tests that everything has arrived before it. */
function awaitEnd(fd: number, label: string, { input, urgent }: Inet, { arena, scratch }: Bench): Op[] {
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd, 0);
  const address = arena.bytes(pollfd);
  // All that has come is counted beyond an urgent byte only where that is read like any other.
  const inline = (value: number): Op[] =>
    urgent ? [setInteger(fd, SOL.SOCKET, SO.OOBINLINE, value, arena, { label })] : [];
  return [
    call('poll', [address, 1, PATIENCE * 1000], {
      ...tooMuch(input, label),
      check: { kind: 'equal', expected: 1 },
      text: `poll([{${fd}, POLLHUP}], 1, ${PATIENCE * 1000})`,
    }),
    {
      op: 'test',
      address: address + 6n,
      width: 2,
      mask: BigInt(POLLHUP),
      check: { kind: 'equal', expected: POLLHUP },
      label,
      reason: 'it is not closed',
      text: 'test pollfd.revents & POLLHUP',
    },
    ...inline(1),
    call('ioctl', [fd, FIONREAD, scratch], { label, text: `ioctl(${fd}, FIONREAD)` }),
    {
      op: 'test',
      address: scratch,
      width: 4,
      mask: 0xffff_ffffn,
      check: { kind: 'equal', expected: input.length },
      ...tooMuch(input, label),
      text: `test bytes to read == ${input.length}`,
    },
    ...inline(0),
  ];
}

/** The program has read the urgent byte apart: its mark is left. */
function takeUrgent(fd: number, label: string, { scratch }: Bench): Op {
  return call('recvfrom', [fd, scratch, 1, MSG_OOB | MSG_DONTWAIT, 0, 0], {
    label,
    check: { kind: 'equal', expected: 1 },
    text: `recvfrom(${fd}, 1, MSG_OOB|MSG_DONTWAIT)`,
  });
}

/** Reading SO_ERROR takes the error away. */
function takeError(fd: number, label: string, { arena, scratch }: Bench): Op {
  const length = arena.bytes(Uint8Array.of(4, 0, 0, 0));
  return call('getsockopt', [fd, SOL.SOCKET, SO.ERROR, scratch, length], {
    label,
    text: `getsockopt(${fd}, SO_ERROR)`,
  });
}
