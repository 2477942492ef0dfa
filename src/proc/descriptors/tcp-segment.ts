/** TCP_MAXSEG of a socket without a connection: what the program has set, or what its last connection has left. */
import { SOL } from '../../inet.js';
import { lookInto } from '../../kernel/open.js';
import { sockOf } from '../../kernel/sockets.js';
import { tcpInfo } from '../../native/inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { TCP, TCP_OPTION } from '../../tcp.js';
import type { Entry } from './entries.js';
import type { KindContext } from './kind.js';

/** The most that setsockopt(2) takes. */
const MOST = 0x7fff;

/** Takes it out of the options where the program has not set it; warns where that cannot be told. */
export function dropLeftSegment(
  { fd, link }: Entry,
  copy: number,
  options: OpenFileOf<'inet'>['options'],
  { warnings }: KindContext,
): void {
  const at = options.findIndex(({ level, option }) => level === SOL.TCP && option === TCP_OPTION.MAXSEG);
  if (at < 0) return;
  const size = Buffer.from(options[at]!.value).readInt32LE(0);
  const chosen = isChosen(copy);
  if (chosen === false || size > MOST) options.splice(at, 1);
  else if (chosen === null && tcpInfo(copy).state === TCP.CLOSE) {
    warnings.push(
      `descriptor ${fd} (TCP, ${link}): the size of its segments (TCP_MAXSEG ${size}) goes on as if the program had chosen it; it may be what a connection has left`,
    );
  }
}

/** `null`: the kernel does not tell. */
function isChosen(copy: number): boolean | null {
  return lookInto<boolean | null>(
    (kernel) => kernel.member('tcp_sock', sockOf(kernel, copy), 'rx_opt.user_mss') !== 0n,
    () => null,
  );
}
