/** The table of kinds. The first that matches a descriptor has it; the last matches everything. */
import { chosen } from './chosen.js';
import { device } from './device.js';
import { embedded } from './embedded.js';
import type { Entry } from './entries.js';
import { epoll } from './epoll.js';
import { eventfd } from './eventfd.js';
import { external } from './external.js';
import { fanotify } from './fanotify.js';
import { folder } from './folder.js';
import { inet } from './inet.js';
import { inotify } from './inotify.js';
import type { DescriptorKind } from './kind.js';
import { longPath } from './long-path.js';
import { memory } from './memory.js';
import { mqueue } from './mqueue.js';
import { namespace } from './namespace.js';
import { netlink } from './netlink.js';
import { other } from './other.js';
import { ownProc } from './own-proc.js';
import { packet } from './packet.js';
import { pidfd } from './pidfd.js';
import { pipe } from './pipe.js';
import { pressure } from './pressure.js';
import { ptyMaster } from './pty-master.js';
import { ptySlave } from './pty-slave.js';
import { reference } from './reference.js';
import { regular } from './regular.js';
import { secret } from './secret.js';
import { signalfd } from './signalfd.js';
import { stream } from './stream.js';
import type { Target } from './target.js';
import { timerfd } from './timerfd.js';
import { unix } from './unix.js';
import { uring } from './uring.js';

const KINDS: readonly DescriptorKind[] = [
  chosen,
  external,
  longPath,
  reference,
  ptyMaster,
  ptySlave,
  stream,
  pipe,
  inet,
  netlink,
  packet,
  unix,
  eventfd,
  timerfd,
  signalfd,
  pidfd,
  inotify,
  fanotify,
  uring,
  epoll,
  mqueue,
  secret,
  memory,
  embedded,
  device,
  namespace,
  folder,
  ownProc,
  pressure,
  regular,
  other,
];

/** The kind of a descriptor. */
export function kindOf(entry: Entry, target: Target): DescriptorKind {
  return KINDS.find((kind) => kind.matches(entry, target))!;
}
