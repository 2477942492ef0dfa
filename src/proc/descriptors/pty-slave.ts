/** Slaves of pseudoterminals whose master the process has, or nobody any more. */
import { lineDiscipline, terminalDevice } from '../../native/pty.js';
import { errnoOf } from '../read.js';
import type { DescriptorKind } from './kind.js';
import { pathProblem } from './paths.js';
import { isCarried, isHungUp, isPtyMaster, numberOf, ptyView, slaveDevice } from './pty-view.js';
import { Refusal } from './refusal.js';
import { streamOf } from './stream.js';
import { isDevTty } from './terminal.js';

/** Slaves of the process's own pseudoterminals, and those that were hung up as the master was closed. */
export const ptySlave: DescriptorKind = {
  matches: (entry, target) => {
    if (isPtyMaster(entry) || (entry.fd <= 2 && target.choices.inherit.has(entry.fd))) return false;
    return ptyView(target).of(entry) !== null || (isHungUp(entry) && streamOf(entry, target) === null);
  },
  describe: ({ link }) => `pseudoterminal, ${link}`,
  problem: (entry, target) => (isDevTty(entry.stat) ? pathProblem(entry, target) : null),
  capture: ({ entries: [entry] }, { target, withCopy, fileOf }) => {
    const pty = ptyView(target).of(entry!);
    const discipline = withCopy(entry!.fd, disciplineOf);
    if (discipline === null && pty) throw new Refusal('it was hung up, and its master was not closed');
    if (discipline !== null && !pty) throw new Refusal('its master is held by another process');
    if (discipline) throw new Refusal('it has a line discipline other than the usual one');
    const byName = isDevTty(entry!.stat);
    if (pty && byName && withCopy(entry!.fd, terminalDevice) !== slaveDevice(pty.number))
      throw new Refusal('it is a terminal that controlled the process before');
    const master = pty?.masters.find((candidate) => isCarried(candidate, target));
    return {
      kind: 'pty-slave',
      flags: entry!.info.flags,
      master: master ? fileOf(master.fd) : null,
      number: pty ? pty.number : numberOf(entry!),
      path: byName ? entry!.link : null,
    };
  },
};

/** `null` where it was hung up. */
function disciplineOf(copy: number): number | null {
  try {
    return lineDiscipline(copy);
  } catch (error) {
    if (errnoOf(error) === 'EIO' || errnoOf(error) === 'ENOTTY') return null;
    throw error;
  }
}
