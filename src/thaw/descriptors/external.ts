/** Descriptors that whoever runs the image passes in: they stand at their numbers from the start. */

import { FD_CLOEXEC } from '../../fcntl.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';
import { control } from './calls.js';
import type { KindPlanner } from './planner.js';

/** Plans what is passed in. */
export const external: KindPlanner<OpenFileOf<'external'>> = {
  make: (_, { at, closeOnExec }) => [
    control(at, 'SETFD', closeOnExec ? FD_CLOEXEC : 0, closeOnExec ? 'FD_CLOEXEC' : '0'),
  ],
};

/** Makes sure that they are there, before anything is opened that could land on their numbers. */
export function planExternals(bench: Bench): Op[] {
  return bench.passedIn.map((fd) =>
    control(fd, 'GETFD', 0, '', {
      label: `cannot take over descriptor ${fd}, which whoever starts the image has to pass in`,
    }),
  );
}
