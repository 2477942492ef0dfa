/** Messages of Unix domain sockets with descriptors on their way (SCM_RIGHTS). */
import { SOL_SOCKET } from '../../socket.js';
import { call, type Extra } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SCM_RIGHTS = 1;
/** `sizeof (struct cmsghdr)`. */
const CMSGHDR = 16;

/** sendmsg(2) of a message that carries descriptors; all of its bytes must go. */
export function sendCarrying(
  from: number,
  bytes: Uint8Array,
  descriptors: readonly number[],
  { arena }: Bench,
  extra: Extra,
): Op {
  const size = CMSGHDR + descriptors.length * 4;
  const control = Buffer.alloc(Math.ceil(size / 8) * 8);
  control.writeBigUInt64LE(BigInt(size), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  descriptors.forEach((fd, i) => {
    control.writeInt32LE(fd, CMSGHDR + i * 4);
  });
  const vector = words(arena.bytes(bytes), BigInt(bytes.length));
  const header = words(
    ...[0n, 0n, arena.bytes(vector), 1n],
    ...[arena.bytes(control), BigInt(control.length), 0n],
  );
  return call('sendmsg', [from, arena.bytes(header), MSG_DONTWAIT | MSG_NOSIGNAL], {
    check: { kind: 'equal', expected: bytes.length },
    text: `sendmsg(${from}, [${bytes.length} bytes, SCM_RIGHTS [${descriptors.join(', ')}]], MSG_DONTWAIT|MSG_NOSIGNAL)`,
    ...extra,
  });
}

function words(...values: bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}
