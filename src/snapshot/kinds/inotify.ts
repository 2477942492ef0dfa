/** Inotify(7). */
import * as z from 'zod';
import { bytesOfText } from '../../byte-text.js';
import { isRepeatable, MOST_EVENTS, MOST_NAME } from '../../inotify.js';
import { int, text } from '../fields.js';
import { common, watched } from './common.js';
import { kindModel } from './model.js';

function isEntryName(name: string): boolean {
  return !/[\0/]|^\.\.?$/.test(name) && bytesOfText(name).length <= MOST_NAME;
}

/** An event of inotify. */
const inotifyEvent = z
  .object({
    /** A watch that may be gone. */
    wd: int.min(1).max(0x7fff_ffff),
    /** One of `IN_*`, and perhaps IN_ISDIR. */
    mask: int.min(0).max(0xffff_ffff),
    /** By which the two events of one rename know each other; 0 for others. */
    cookie: int.min(0).max(0xffff_ffff),
    /** Bytes as text; empty for none. */
    name: text.refine(isEntryName, 'no name of a file'),
  })
  .refine(({ mask, name }) => isRepeatable(mask, name !== ''), 'no event that can be made again');

const schema = z.object({
  kind: z.literal('inotify'),
  ...common,
  watches: z.array(
    z.object({
      wd: int.min(1).max(0x7fff_ffff),
      /** `IN_*`. */
      mask: int.min(0).max(0xffff_ffff),
      ...watched,
    }),
  ),
  /** What was not read. */
  events: z.array(inotifyEvent).max(MOST_EVENTS).default([]),
  /** From here on up the next watch gets its number; `null` where that is not known. */
  next: int.min(1).max(0x7fff_ffff).nullable().default(null),
});

/** Watches of files, and what they have told. */
export const inotify = kindModel({
  schema,
  watchesFiles: true,
  title: () => 'inotify',
  describe: ({ watches, events }) => {
    const unread = events.length === 0 ? '' : `, ${events.length} events unread`;
    return `watches ${watches.map(({ path }) => path).join(' ') || 'nothing'}${unread}`;
  },
});
