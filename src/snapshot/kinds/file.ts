/** Regular file, directory or device opened again by path. */
import * as z from 'zod';
import { bytes, index, int, text, word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

/** The longest content, in bytes, that is kept of what was read: all of a file of `/sys`, less than a page. */
export const MOST_SEEN = 4095;

const schema = z.object({
  kind: z.literal('file'),
  ...common,
  /** The type of file that must be found there; `chosen`: any, the user gave the path (`--fd N=PATH`). */
  type: z.enum(['regular', 'directory', 'device', 'fifo', 'socket', 'symlink', 'chosen']),
  path: text,
  offset: word,
  /** Size in bytes at the freeze; 0 for what has none. */
  size: word,
  /**
   * Modification time in nanoseconds where size and time must be the same at thaw: a regular file that the
   * process only reads. `null`: no shorter than it was will do.
   */
  modified: word.nullable().default(null),
  /** For a device: major and minor number, checked at thaw. */
  device: z.object({ major: int, minor: int }).nullable(),
  /**
   * It is about what is not there yet when files are opened, and opened when all else is: a descriptor, a socket's file, or the
   * thread with this id, whose folder `path` names as `/proc/thread-self`. `apart`: not that below its process, but that
   * which it has in `/proc` by its own id.
   */
  late: z.object({ thread: index.nullable(), apart: z.boolean().optional() }).optional(),
  /**
   * What was in a file of `/sys` or of a control group, of which poll(2) had no change to tell since it was read: it has
   * none after the thaw, where that is still in it.
   */
  seen: bytes.refine((value) => value.length <= MOST_SEEN, 'too long').optional(),
});

type File = z.infer<typeof schema>;

/** A file that is opened again. */
export const file = kindModel({
  schema,
  title: ({ type }) => TITLES[type],
  unsendable: ({ late }) => (late ? 'it tells of what is not there yet when it is sent' : null),
  describe: ({ path, type, device, late, offset }) => {
    const number = device ? ` ${device.major}:${device.minor}` : '';
    const own = late?.apart ? ', by its own id' : '';
    const thread = late?.thread == null ? '' : ` of thread ${late.thread}${own}`;
    return `${path}${thread} (${type}${number}${offset ? `, at ${offset}` : ''})`;
  },
});

const TITLES: Readonly<Record<File['type'], string>> = {
  ...{ regular: 'file', directory: 'directory', device: 'device', fifo: 'FIFO', socket: 'socket' },
  ...{ symlink: 'symbolic link', chosen: 'file' },
};
