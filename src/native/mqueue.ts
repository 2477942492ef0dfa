/** POSIX message queues: mq_overview(7). */
import { O } from '../fcntl.js';
import { addon } from './addon.js';

const NR = { mq_open: 240, mq_getsetattr: 245 } as const;

/** mq_open(2) of a queue that is there. @param name without the slash */
export function openQueue(name: Uint8Array, access: number): number {
  return Number(addon.syscall(NR.mq_open, Buffer.concat([name, Buffer.alloc(1)]), access | O.NONBLOCK, 0, 0));
}

/** Of `struct mq_attr`: the most messages that a queue holds, and the most bytes of each. */
export function queueAttributes(fd: number): { maxMessages: number; messageSize: number } {
  const attributes = Buffer.alloc(64);
  addon.syscall(NR.mq_getsetattr, fd, 0, attributes);
  return {
    maxMessages: Number(attributes.readBigInt64LE(8)),
    messageSize: Number(attributes.readBigInt64LE(16)),
  };
}
