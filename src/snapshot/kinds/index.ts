/** The table of kinds: what a snapshot says of an open file description. */

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
import { ptyMaster } from './pty-master.js';
import { ptySlave } from './pty-slave.js';
import { signalfd } from './signalfd.js';
import { stream } from './stream.js';
import { timerfd } from './timerfd.js';
import { unix } from './unix.js';
import { uring } from './uring.js';

/** Every kind, once. */
export const KINDS = [
  stream,
  external,
  file,
  object,
  folder,
  pipe,
  eventfd,
  timerfd,
  signalfd,
  mqueue,
  inotify,
  fanotify,
  pidfd,
  uring,
  epoll,
  inet,
  netlink,
  packet,
  unix,
  ptyMaster,
  ptySlave,
] as const;
