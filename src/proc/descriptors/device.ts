/** Character devices without a state of their own. */
import { deviceNumbers } from '../objects.js';
import type { DescriptorKind } from './kind.js';
import { pathProblem } from './paths.js';
import { pathFile } from './regular.js';
import { isCharacterDevice } from './terminal.js';

/** Minor numbers of major 1; Documentation/admin-guide/devices.txt. */
const MEMORY_MAJOR = 1;
const STATELESS: Readonly<Record<number, string>> = {
  3: 'null',
  5: 'zero',
  7: 'full',
  8: 'random',
  9: 'urandom',
};

/** Memory devices without state, such as /dev/null: opened again by path. */
export const device: DescriptorKind = {
  matches: ({ stat }) => {
    const { major, minor } = deviceNumbers(stat.rdev);
    return isCharacterDevice(stat) && major === MEMORY_MAJOR && minor in STATELESS;
  },
  describe: ({ link }) => `device, ${link}`,
  problem: pathProblem,
  capture: ({ entries: [entry] }) => pathFile(entry!),
};
