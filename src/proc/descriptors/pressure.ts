/** Files that tell of pressure (PSI): /proc/pressure/memory, and memory.pressure of a control group. */
import { writeSync } from 'node:fs';
import { O } from '../../fcntl.js';
import { errnoOf } from '../read.js';
import { isOfKernel } from './file-systems.js';
import type { DescriptorKind } from './kind.js';
import { Refusal } from './refusal.js';
import { isRegular, regular } from './regular.js';

const NAME = /^\/proc\/pressure\/[^/]+$|\.pressure$/;
/** What is written and is no trigger: one of the last two where the kernel, or the control group, keeps none. */
const UNHEARD: ReadonlySet<string | undefined> = new Set(['EINVAL', 'EOPNOTSUPP', 'ENODEV']);

/** Those that may bear a trigger. They are opened again where they bear none. */
export const pressure: DescriptorKind = {
  matches: (entry, target) => {
    const { link, stat, info } = entry;
    if (!NAME.test(link) || !isRegular(stat) || info.flags & O.PATH) return false;
    return (info.flags & O.ACCMODE) !== O.RDONLY && isOfKernel(target.pid, entry);
  },
  describe: ({ link }) => `pressure, ${link}`,
  problem: (entry, target) => regular.problem(entry, target),
  capture: (description, context) => {
    if (context.withCopy(description.entries[0]!.fd, hasTrigger))
      throw new Refusal('the process waits for pressure by a trigger, of which the kernel does not tell');
    return regular.capture(description, context);
  },
};

/**
 * Whether a trigger was written to it. There can be one only, which the kernel looks at first (EBUSY): what is no trigger
 * is refused behind that, and changes nothing. To ask by poll(2) would take an event.
 */
function hasTrigger(copy: number): boolean {
  try {
    writeSync(copy, '?');
  } catch (error) {
    return !UNHEARD.has(errnoOf(error));
  }
  return true;
}
