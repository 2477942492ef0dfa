/** Descriptions of deleted files and memfds: the memory object, opened again. */

import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { tolerate } from '../calls.js';
import { open, seek, setFlags } from './calls.js';
import type { KindPlanner } from './planner.js';

const REOPENED =
  O.ACCMODE | O.APPEND | O.NONBLOCK | O.ASYNC | O.DSYNC | O.SYNC | O.LARGEFILE | O.NOATIME | O.PATH;

/** Plans another description of a memory object that has been made. */
export const object: KindPlanner<OpenFileOf<'object'>> = {
  make: ({ object, flags, offset }, place, { bench, objects }) => {
    const label = `cannot open memory object ${object} (${place.name})`;
    const path = `/proc/self/fd/${objects[object] ?? -1}`;
    const reopen = (closeOnExec: boolean) =>
      open(bench.arena, path, (flags & REOPENED) | (closeOnExec ? O.CLOEXEC : 0), { label });
    return [
      ...bench.create(reopen, place.at, place.closeOnExec),
      // It means nothing to memory, and kernels before 6.6 refuse it.
      ...(flags & O.DIRECT && !(flags & O.PATH)
        ? [setFlags(place.at, flags, { check: tolerate('EINVAL') })]
        : []),
      ...(offset > 0n ? [seek(place.at, offset, { label })] : []),
    ];
  },
};
