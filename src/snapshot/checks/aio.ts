/** Contexts of `io_setup`. */
import { aioRange } from '../aio-context.js';
import type { Process } from '../schema.js';
import { fail } from './damage.js';

/** Rings are put in place by address: each has all that it shows, and nothing else shows one. @throws ImageError */
export function checkAioContexts({ regions, aioContexts }: Process, where: string): void {
  const left = new Set(regions.filter(({ backing }) => backing.kind === 'aio'));
  let next = 0;
  aioContexts.forEach((context, i) => {
    const place = `${where}.aioContexts[${i}]`;
    const { start, end } = aioRange(context);
    if (context.id < next) fail(`${place}.id`, 'is not behind the one before it');
    next = context.id + 1;
    let shown = start;
    for (const region of left) {
      if (region.start !== shown || region.end > end) continue;
      if (region.offset !== shown - start || !region.shared)
        fail(place, 'is mapped otherwise than as a ring');
      left.delete(region);
      shown = region.end;
    }
    if (shown !== end) fail(place, 'is not mapped as a whole');
  });
  if (left.size > 0) fail(`${where}.regions`, 'show a ring of no context');
}
