/** Pidfd_open(2). */
import * as z from 'zod';
import { signalName } from '../../names.js';
import { BOOT_ID_SIZE, isEnd } from '../../pidfd.js';
import { bytes, index, int, word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('pidfd'),
  ...common,
  /** Id of the thread that it refers to; `null`: the process, or with PIDFD_THREAD its first thread. */
  thread: index.nullable(),
  /** Another process, or a thread of one, which stays where it is; `null`: the process itself. */
  stranger: z
    .object({
      pid: int.min(1),
      /** The number that it alone has from one start of its machine to the next. */
      inode: word,
      /** `/proc/sys/kernel/random/boot_id` */
      boot: bytes.refine((value) => value.length === BOOT_ID_SIZE, 'no boot id'),
    })
    .nullable()
    .default(null),
  /** A process or thread that had ended, and been waited for; `null`: one that was there. */
  ended: z
    .object({
      /** How it ended, as wait(2) has it; `null` where the kernel does not tell (before Linux 6.15). */
      exit: int.refine(isEnd, 'no end of a process').nullable(),
      /** The number by which it is known that two descriptors mean the same; `null` where there are none. */
      inode: word.nullable(),
    })
    .nullable()
    .default(null),
});

/** A process, or a thread. */
export const pidfd = kindModel({
  schema,
  title: () => 'pidfd',
  unsendable: ({ thread }) =>
    thread === null ? null : 'it refers to a thread, which is not there yet when it is sent',
  describe: ({ stranger, ended, thread }) => {
    if (stranger) return `process ${stranger.pid}, which stays behind`;
    if (ended) return `a process that has ended${describeEnd(ended.exit)}`;
    return thread === null ? 'the process itself' : `thread ${thread}`;
  },
});

/** @param exit as wait(2) has it; `null`: not told */
function describeEnd(exit: number | null): string {
  if (exit === null) return '';
  return exit & 0xff ? ` by ${signalName(exit)}` : ` with ${exit >> 8}`;
}
