/** Options of a Unix domain socket at SOL_SOCKET that differ from those of a new one. */
import { closeSync } from 'node:fs';
import { getOption, integerOption, makeSocket } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { AF_UNIX, SO, SOL_SOCKET } from '../../socket.js';
import { captureFilter } from './filter.js';

const EIGHT_BYTES: readonly number[] = [SO.LINGER, SO.TIMESTAMPING, SO.TIMESTAMPING_NEW, SO.MAX_PACING_RATE];

/** Those that are compared, and what they are if not an int: `struct linger`, `struct timeval`, `struct so_timestamping`. */
const COMPARED: readonly { option: number; size: number }[] = [
  ...[SO.DEBUG, SO.REUSEADDR, SO.DONTROUTE, SO.BROADCAST, SO.KEEPALIVE, SO.OOBINLINE, SO.NO_CHECK],
  ...[SO.PRIORITY, SO.LINGER, SO.REUSEPORT, SO.PASSCRED, SO.RCVLOWAT, SO.RCVTIMEO, SO.SNDTIMEO],
  ...[SO.TIMESTAMP, SO.PASSSEC, SO.TIMESTAMPNS, SO.MARK, SO.TIMESTAMPING, SO.RXQ_OVFL, SO.WIFI_STATUS],
  ...[SO.PEEK_OFF, SO.NOFCS, SO.LOCK_FILTER, SO.SELECT_ERR_QUEUE, SO.BUSY_POLL, SO.PASSPIDFD],
  ...[SO.PASSRIGHTS, SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW, SO.TIMESTAMPING_NEW, SO.RCVMARK],
  ...[SO.RCVPRIORITY, SO.INCOMING_CPU, SO.MAX_PACING_RATE, SO.PREFER_BUSY_POLL],
].map((option) => ({ option, size: sizeOf(option) }));

function sizeOf(option: number): number {
  if (EIGHT_BYTES.includes(option)) return 8;
  return option === SO.RCVTIMEO || option === SO.SNDTIMEO ? 16 : 4;
}

const ON = Uint8Array.of(1, 0, 0, 0);

type Options = Pick<
  OpenFileOf<'unix'>,
  'sendBuffer' | 'receiveBuffer' | 'bufferLocks' | 'options' | 'filter'
>;

/**
 * Reads the options.
 * @param type `SOCK_*`
 * @param inq it has SO_INQ, which cannot be asked for
 * @throws Refusal for a filter in eBPF
 */
export function captureOptions(copy: number, type: number, inq = false): Options {
  const changed = usualOptions(type).flatMap(({ option, size, usual }) => {
    const value = getOption(copy, SOL_SOCKET, option, size)!;
    return Buffer.from(value).equals(usual) ? [] : [{ option, value }];
  });
  return {
    sendBuffer: integerOption(copy, SO.SNDBUF),
    receiveBuffer: integerOption(copy, SO.RCVBUF),
    // Since Linux 5.14.
    bufferLocks: getOption(copy, SOL_SOCKET, SO.BUF_LOCK, 4)?.[0] ?? null,
    options: inq ? [...changed, { option: SO.INQ, value: ON }] : changed,
    filter: captureFilter(copy),
  };
}

interface Usual {
  readonly option: number;
  readonly size: number;
  readonly usual: Uint8Array;
}

const usual = new Map<number, readonly Usual[]>();

/** The options that a socket of a type has here, and their values in a new one; looked up once. */
function usualOptions(type: number): readonly Usual[] {
  const known = usual.get(type) ?? readUsual(type);
  usual.set(type, known);
  return known;
}

function readUsual(type: number): Usual[] {
  const fresh = makeSocket(AF_UNIX, type);
  try {
    return COMPARED.flatMap(({ option, size }) => {
      const value = getOption(fresh, SOL_SOCKET, option, size);
      return value ? [{ option, size, usual: value }] : [];
    });
  } finally {
    closeSync(fresh);
  }
}
