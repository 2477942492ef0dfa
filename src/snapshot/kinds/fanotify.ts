/** Fanotify(7). */
import * as z from 'zod';
import { int } from '../fields.js';
import { common, watched } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('fanotify'),
  ...common,
  /** Flags of fanotify_init(2): its own, and those of open(2) for the files in its events. */
  init: z.object({ flags: int.min(0).max(0xffff_ffff), eventFlags: int.min(0).max(0xffff_ffff) }),
  marks: z.array(
    z.object({
      of: z.enum(['inode', 'mount', 'filesystem']),
      /** `FAN_MARK_*` that the kernel shows of it. */
      flags: int.min(0).max(0xffff_ffff),
      /** `FAN_*`: what is told, and what of that is not. */
      mask: int.min(0).max(0xffff_ffff),
      ignored: int.min(0).max(0xffff_ffff),
      ...watched,
    }),
  ),
});

/** Marks of files, mounts and file systems. */
export const fanotify = kindModel({
  schema,
  watchesFiles: true,
  title: () => 'fanotify',
  describe: ({ marks }) => `fanotify, ${marks.length} marks`,
});
