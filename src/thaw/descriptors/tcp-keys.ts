/** Keys of TCP MD5 signatures, set before a socket has connections. */
import { optionName, SOL } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { TCP_OPTION } from '../../tcp.js';
import { keyName, md5Signature } from '../../tcp-key.js';
import { show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { setOption } from './socket-calls.js';

/** TCP_MD5SIG_EXT for each key, the latest last. */
export function setKeys(
  fd: Operand,
  { family, keys }: Pick<OpenFileOf<'inet'>, 'family' | 'keys'>,
  name: string,
  { arena }: Bench,
): Op[] {
  const option = optionName(SOL.TCP, TCP_OPTION.MD5SIG_EXT);
  return [...keys].reverse().map((key) =>
    setOption(fd, SOL.TCP, TCP_OPTION.MD5SIG_EXT, md5Signature(key, family), arena, {
      label: `cannot set the key of TCP MD5 for ${keyName(key)} (${name})`,
      // The key itself is a secret.
      text: `setsockopt(${show(fd)}, ${option}, [${key.key.length} bytes for ${keyName(key)}])`,
    }),
  );
}
