/** The table of kinds: how each is made again. */
import type { OpenFile, OpenFileKind, OpenFileOf } from '../../snapshot/descriptors.js';
import { epoll } from './epoll.js';
import { eventfd } from './eventfd.js';
import { external } from './external.js';
import { fanotify } from './fanotify.js';
import { file } from './file.js';
import { folder } from './folder.js';
import { inet } from './inet.js';
import { inotify } from './inotify.js';
import { mqueue } from './mqueue.js';
import { netlink } from './netlink.js';
import { object } from './object.js';
import { packet } from './packet.js';
import { pidfd } from './pidfd.js';
import { pipe } from './pipe.js';
import type { KindPlanner } from './planner.js';
import { ptyMaster } from './pty-master.js';
import { ptySlave } from './pty-slave.js';
import { signalfd } from './signalfd.js';
import { stream } from './stream.js';
import { timerfd } from './timerfd.js';
import { unix } from './unix.js';
import { uring } from './uring.js';

const KINDS: { readonly [K in OpenFileKind]: KindPlanner<OpenFileOf<K>> } = {
  stream,
  external,
  file,
  object,
  folder,
  pipe,
  unix,
  eventfd,
  timerfd,
  signalfd,
  mqueue,
  pidfd,
  inotify,
  fanotify,
  uring,
  epoll,
  inet,
  'pty-master': ptyMaster,
  'pty-slave': ptySlave,
  netlink,
  packet,
};

/** The planner of a description's kind. */
export function plannerOf({ kind }: OpenFile): KindPlanner<OpenFile> {
  return KINDS[kind];
}
