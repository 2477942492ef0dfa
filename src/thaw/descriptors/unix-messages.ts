/** Messages of Unix domain sockets, with descriptors on their way (SCM_RIGHTS) and with who sent them (SCM_CREDENTIALS). */
import { SOL_SOCKET } from '../../socket.js';
import { call, type Extra } from '../calls.js';
import type { Cell, Op } from '../program.js';
import type { Bench } from './bench.js';

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;
const SHOWN = 'MSG_DONTWAIT|MSG_NOSIGNAL';
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
/** `sizeof (struct cmsghdr)`. */
const CMSGHDR = 16;

/** What goes with the bytes of a message. */
export interface Beside {
  /** Descriptors that it carries. */
  readonly descriptors: readonly number[];
  /** Who sent it, under the id that the process has now; `null`: whoever starts the image, or nobody. */
  readonly sender: { readonly pid: Cell; readonly uid: number; readonly gid: number } | null;
}

/** Sends a message, of which all bytes must go. In another's name only the privileged may: of others it bears their own. */
export function sendMessage(
  from: number,
  bytes: Uint8Array,
  { descriptors, sender }: Beside,
  bench: Bench,
  extra: Extra,
): Op[] {
  const rights = descriptors.length > 0 ? [rightsOf(descriptors)] : [];
  const plain = sendWith(from, bytes, rights, bench, extra).op;
  if (sender === null) return [plain];
  const [own, end] = [bench.mark(), bench.mark()];
  const named = sendWith(from, bytes, [credentialsOf(sender), ...rights], bench, {});
  return [
    {
      ...{ op: 'store', address: named.control + BigInt(CMSGHDR), width: 4, value: sender.pid },
      text: 'store getpid() in SCM_CREDENTIALS',
    },
    { ...named.op, check: { kind: 'equal', expected: bytes.length, jump: own } } as Op,
    { op: 'jump', to: end },
    { op: 'mark', name: own },
    plain,
    { op: 'mark', name: end },
  ];
}

/** A control message. */
interface Control {
  readonly type: number;
  readonly data: Uint8Array;
  readonly text: string;
}

function rightsOf(descriptors: readonly number[]): Control {
  const data = new Uint8Array(Int32Array.from(descriptors).buffer);
  return { type: SCM_RIGHTS, data, text: `SCM_RIGHTS [${descriptors.join(', ')}]` };
}

/** `struct ucred`; the process id comes last, when it is known. */
function credentialsOf({ uid, gid }: { readonly uid: number; readonly gid: number }): Control {
  const data = new Uint8Array(Uint32Array.of(0, uid, gid).buffer);
  return { type: SCM_CREDENTIALS, data, text: `SCM_CREDENTIALS uid ${uid} gid ${gid}` };
}

function sendWith(
  from: number,
  bytes: Uint8Array,
  beside: readonly Control[],
  { arena }: Bench,
  extra: Extra,
): { op: Op; control: bigint } {
  const check = { kind: 'equal', expected: bytes.length } as const;
  if (beside.length === 0) {
    const op = call('sendto', [from, arena.bytes(bytes), bytes.length, FLAGS, 0, 0], {
      ...{ check, text: `send(${from}, [${bytes.length} bytes], ${bytes.length}, ${SHOWN})`, ...extra },
    });
    return { op, control: 0n };
  }
  const parts = Buffer.concat(beside.map(controlBytes));
  const control = arena.bytes(parts);
  const vector = words(arena.bytes(bytes), BigInt(bytes.length));
  const header = words(0n, 0n, arena.bytes(vector), 1n, control, BigInt(parts.length), 0n);
  const shown = [`${bytes.length} bytes`, ...beside.map(({ text }) => text)].join(', ');
  const op = call('sendmsg', [from, arena.bytes(header), FLAGS], {
    ...{ check, text: `sendmsg(${from}, [${shown}], ${SHOWN})`, ...extra },
  });
  return { op, control };
}

/** `struct cmsghdr` and data. Each begins at a word. */
function controlBytes({ type, data }: Control): Buffer {
  const size = CMSGHDR + data.length;
  const bytes = Buffer.alloc(Math.ceil(size / 8) * 8);
  bytes.writeBigUInt64LE(BigInt(size), 0);
  bytes.writeInt32LE(SOL_SOCKET, 8);
  bytes.writeInt32LE(type, 12);
  bytes.set(data, CMSGHDR);
  return bytes;
}

function words(...values: bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}
