/** POSIX message queues: opened again by name, as what is in them stays in the kernel. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { bytesOfText } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import { openQueue, queueAttributes } from '../../native/mqueue.js';
import { deviceNumbers } from '../objects.js';
import { errnoOf } from '../read.js';
import type { Entry } from './entries.js';
import { fileSystemOf, MQUEUE_MAGIC } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { Refusal } from './refusal.js';
import { isRegular } from './regular.js';

const REMOVED = 'it was removed (mq_unlink), so that nothing leads to it';

/** Message queues, by mq_open(3) or by their path in /dev/mqueue. */
export const mqueue: DescriptorKind = {
  matches: (entry, { pid }) =>
    isRegular(entry.stat) &&
    deviceNumbers(entry.stat.dev).major === 0 &&
    fileSystemOf(pid, entry) === MQUEUE_MAGIC,
  describe: ({ link }) => `message queue, ${link}`,
  problem: ({ stat, info }) => {
    if (info.flags & O.PATH) return 'it only refers to the queue (O_PATH), which is not carried';
    return stat.nlink === 0n ? REMOVED : null;
  },
  capture: ({ entries: [entry] }, { pid, withCopy }) => {
    const { fd, info } = entry!;
    const name = entry!.link.slice(entry!.link.lastIndexOf('/') + 1);
    const attributes = withCopy(fd, (copy) => {
      if (findQueue(entry!, name, notifiedProcess) === pid) {
        throw new Refusal('the process is to be told of its next message (mq_notify), which is not carried');
      }
      return queueAttributes(copy);
    });
    return { kind: 'mqueue', flags: info.flags, name, offset: info.offset, ...attributes };
  },
};

/** Opens the queue by its name, which must lead to it; to read it, as that tells whom it notifies. */
function findQueue<T>({ stat }: Entry, name: string, use: (fd: number) => T): T {
  let fd: number;
  try {
    fd = openQueue(bytesOfText(name), O.RDONLY);
  } catch (error) {
    throw new Refusal(`it cannot be opened by its name (${errnoOf(error)})`);
  }
  try {
    const found = fstatSync(fd, { bigint: true });
    if (found.ino !== stat.ino || found.dev !== stat.dev) {
      throw new Refusal('its name leads to another queue, as it is of another IPC namespace');
    }
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** `QSIZE:129 NOTIFY:2 SIGNO:0 NOTIFY_PID:8260`: whom it tells of the next message; 0: nobody that is seen from here. */
function notifiedProcess(fd: number): number {
  const text = Buffer.alloc(256);
  const length = readSync(fd, text, 0, text.length, 0);
  const pid = /NOTIFY_PID:(\d+)/.exec(text.toString('latin1', 0, length))?.[1];
  if (pid === undefined) throw new Refusal('it does not tell whom it notifies (mq_notify)');
  return Number(pid);
}
