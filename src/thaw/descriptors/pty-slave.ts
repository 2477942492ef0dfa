/** The slave of a pseudoterminal: `makePtys` makes it together with its master. */
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { KindPlanner } from './planner.js';

/** Nothing is left to do. */
export const ptySlave: KindPlanner<OpenFileOf<'pty-slave'>> = { make: () => [] };
