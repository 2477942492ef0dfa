/** Whom a Unix domain socket tells its program to be connected to. */
import { getOption } from '../../native/sockets.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { SO, SOL_SOCKET } from '../../socket.js';
import type { KindContext } from './kind.js';

/** `NGROUPS_MAX` of linux/limits.h, and bytes of each. */
const MOST_GROUPS = 65536;
const GID = 4;
/** Of a socket that was never connected, and does not listen. */
const NOBODY = 0xffff_ffff;

const groupRoom = new Uint8Array(MOST_GROUPS * GID);

/**
 * SO_PEERCRED and SO_PEERGROUPS: who made the other end, or the pair, or called listen(2); for the rest of a socket's
 * life, whoever has it. The process's own id becomes that of the thawed one; of another's there is a warning.
 * @param fd number of the descriptor, for messages
 */
export function peerCredentialsOf(
  fd: number,
  copy: number,
  { pid, warnings }: KindContext,
): OpenFileOf<'unix'>['peerCredentials'] {
  const credentials = getOption(copy, SOL_SOCKET, SO.PEERCRED, 12)!; // struct ucred
  const [maker, uid, gid] = new Uint32Array(credentials.buffer) as unknown as [number, number, number];
  if (uid === NOBODY) return null;
  if (maker !== pid) {
    // 0: it cannot be named from this pid namespace.
    const who = maker === 0 ? 'a process of another pid namespace' : `process ${maker}`;
    warnings.push(
      `descriptor ${fd}: SO_PEERCRED, which tells ${who} now, will tell the thawed process itself`,
    );
  }
  // Since Linux 4.13.
  const groups = getOption(copy, SOL_SOCKET, SO.PEERGROUPS, groupRoom) ?? new Uint8Array(0);
  return { uid, gid, groups: [...new Uint32Array(groups.buffer, 0, groups.length / GID)] };
}
