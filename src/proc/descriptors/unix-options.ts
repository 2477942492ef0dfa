/** Options of a Unix domain socket at SOL_SOCKET that differ from those of a new one. */
import { closeSync } from 'node:fs';
import { getOption, integerOption, makeSocket } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { AF_UNIX, SO, SOL_SOCKET } from '../../socket.js';
import { captureFilter } from './filter.js';

/** Those that are compared, and what they are if not an int: `struct linger`, `struct timeval`. */
const COMPARED: readonly { option: number; size: number }[] = [
  ...[SO.DEBUG, SO.REUSEADDR, SO.DONTROUTE, SO.BROADCAST, SO.KEEPALIVE, SO.OOBINLINE, SO.NO_CHECK],
  ...[SO.PRIORITY, SO.LINGER, SO.REUSEPORT, SO.PASSCRED, SO.RCVLOWAT, SO.RCVTIMEO, SO.SNDTIMEO],
  ...[SO.TIMESTAMP, SO.PASSSEC, SO.TIMESTAMPNS, SO.MARK, SO.TIMESTAMPING, SO.RXQ_OVFL, SO.WIFI_STATUS],
  ...[SO.PEEK_OFF, SO.NOFCS, SO.LOCK_FILTER, SO.SELECT_ERR_QUEUE, SO.BUSY_POLL, SO.PASSPIDFD],
  ...[SO.PASSRIGHTS, SO.INQ],
].map((option) => ({ option, size: sizeOf(option) }));

function sizeOf(option: number): number {
  if (option === SO.LINGER) return 8;
  return option === SO.RCVTIMEO || option === SO.SNDTIMEO ? 16 : 4;
}

type Options = Pick<OpenFileOf<'unix'>, 'sendBuffer' | 'receiveBuffer' | 'options' | 'filter'>;

/** Reads the options. @param type `SOCK_*` @throws Refusal for a filter in eBPF */
export function captureOptions(copy: number, type: number): Options {
  const filter = captureFilter(copy);
  const fresh = makeSocket(AF_UNIX, type);
  try {
    const options = COMPARED.flatMap(({ option, size }) => {
      const value = getOption(copy, SOL_SOCKET, option, size);
      const usual = getOption(fresh, SOL_SOCKET, option, size);
      return value === null || usual === null || Buffer.from(value).equals(usual) ? [] : [{ option, value }];
    });
    return {
      sendBuffer: integerOption(copy, SO.SNDBUF),
      receiveBuffer: integerOption(copy, SO.RCVBUF),
      options,
      filter,
    };
  } finally {
    closeSync(fresh);
  }
}
