/** io_uring(7). */
import * as z from 'zod';
import { registeredSchema, ringShapeSchema } from '../uring.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({ kind: z.literal('uring'), ...common, ring: ringShapeSchema, ...registeredSchema });

/** An io_uring in which nothing is in flight. */
export const uring = kindModel({
  schema,
  title: () => 'io_uring',
  unsendable: () => 'it is an io_uring, which cannot be sent',
  describe,
});

/** `8 entries, 16 completions, at 100 and 100, 2 unread, 3 slots for files`. */
function describe({ ring, slots, buffers, eventfd }: z.infer<typeof schema>): string {
  const parts = [
    `${ring.sqEntries} entries, ${ring.cqEntries} completions, at ${ring.sqHead} and ${ring.cqTail}`,
    ring.setup === 0 ? '' : `set up with 0x${ring.setup.toString(16)}`,
    ring.unread === 0 ? '' : `${ring.unread} unread`,
    slots === null ? '' : `${slots.files.length} slots for files`,
    buffers === null ? '' : `${buffers.length} for buffers`,
    eventfd === null ? '' : `tells file ${eventfd.file}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}
