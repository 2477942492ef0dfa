/** Pseudoterminals, for tests. */
import type { ExecutionContext } from 'ava';
import type { CapturedDescriptors } from '../../../src/proc/descriptors/index.js';
import { Flag } from '../../../src/thaw/program.js';
import { roundTrip } from './support.js';

/** Makes pseudoterminals, each at two descriptors, in raw mode if wished. */
export const using = (code: string): string => `
import pty, termios, time, tty
def pair(master, slave, raw=False):
    m, s = os.openpty()
    if raw: tty.setraw(s)
    at(m, master); at(s, slave)
def until(fd, events):
    p = select.poll(); p.register(fd, events); p.poll()
${code}
`;

/** Makes pseudoterminals, and makes them again, with whatever numbers are free: others may have got theirs. */
export const trip = (t: ExecutionContext, code: string) => roundTrip(t, using(code), undefined, Flag.PTS_NEW);

/** The open files, whatever numbers pseudoterminals have. */
export function withoutNumbers({ table }: CapturedDescriptors): object {
  return { ...table, files: table.files.map((file) => ({ ...file, number: 0 })) };
}
