/** A context of io_setup(2) as an image has it. The content of its ring is that of the regions that show it. */
import * as z from 'zod';
import { aioRingSize } from '../aio.js';
import { PAGE_SIZE } from '../page.js';
import { index, int, word } from './fields.js';

/** More than the kernel gives one context. */
const MOST_EVENTS = 1 << 23;
/** More contexts than a process may have where `fs.aio-max-nr` is what it is by default. */
const MOST_CONTEXTS = 1 << 16;

/** See io_setup(2). */
export const aioContextSchema = z
  .object({
    /** Where the program sees the ring, which is also the name of the context. */
    address: word.refine((value) => value % BigInt(PAGE_SIZE) === 0n, 'is no page'),
    /** The kernel's number for it, in this process. */
    id: index.max(MOST_CONTEXTS),
    /** For how many requests at once the program has asked. */
    requests: int.min(1).max(0xffff_ffff),
    /** Events that the ring has room for; one less can be there. */
    events: index.max(MOST_EVENTS),
    /** Where the kernel puts the next event. */
    tail: index,
    /** Events that the kernel takes for unread. */
    unread: index,
  })
  .refine(
    ({ events, tail, unread }) =>
      aioRingSize(events) % PAGE_SIZE === 0 && tail < events && unread < events && events > 1,
    'has events that are not there',
  );

/** See {@link aioContextSchema}. */
export type AioContext = z.infer<typeof aioContextSchema>;

/** Addresses at which the program sees the ring. */
export function aioRange({ address, events }: Pick<AioContext, 'address' | 'events'>): {
  readonly start: bigint;
  readonly end: bigint;
} {
  return { start: address, end: address + BigInt(aioRingSize(events)) };
}
