/** Gives sockets and pipes to whom they belonged, when all is in them and nothing opens them any more. */
import type { Op } from '../program.js';
import { setOwner } from './attributes.js';
import type { Bench } from './bench.js';

/** For all that have an owner noted down, at the numbers where they stand before `finish` closes anything. */
export function planOwners({ places, table }: Bench): Op[] {
  return places.flatMap(({ at, index }) => {
    const { owner } = table.files[index]!;
    return owner ? [setOwner(at, owner)] : [];
  });
}
