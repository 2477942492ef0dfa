/** Directories that were deleted: the one that was made again, opened as it was. */

import { O } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { openAt, seek } from './calls.js';
import { REOPENED } from './file.js';
import type { KindPlanner } from './planner.js';

/** Plans another description of a directory without a name. */
export const folder: KindPlanner<OpenFileOf<'folder'>> = {
  make: ({ folder, flags, offset }, place, { bench, folders }) => {
    const label = `cannot open ${bench.table.folders[folder]!.name}, which was deleted (${place.name})`;
    const at = folders[folder]!;
    return [
      ...bench.create(
        (closeOnExec) =>
          openAt(bench.arena, at, '.', (flags & REOPENED) | (closeOnExec ? O.CLOEXEC : 0), { label }),
        place.at,
        place.closeOnExec,
      ),
      ...(offset > 0n ? [seek(place.at, offset, { label })] : []),
    ];
  },
};
