/** Slaves of pseudoterminals whose master the process has, or nobody any more. */
import { lineDiscipline } from '../../native/pty.js';
import { errnoOf } from '../read.js';
import type { DescriptorKind } from './kind.js';
import { isHungUp, isPtySlave, numberOf, ptyView } from './pty-view.js';
import { Refusal } from './refusal.js';
import { streamOf } from './stream.js';
import type { Target } from './target.js';

/** Slaves of the process's own pseudoterminals, and those that were hung up as the master was closed. */
export const ptySlave: DescriptorKind = {
  matches: (entry, target) => {
    if (!isPtySlave(entry) || (entry.fd <= 2 && target.choices.inherit.has(entry.fd))) return false;
    return ptyView(target).of(entry) !== null || (isHungUp(entry) && streamOf(entry, target) === null);
  },
  describe: ({ link }) => `pseudoterminal, ${link}`,
  problem: () => null,
  capture: ({ entries: [entry] }, { target, withCopy, fileOf }) => {
    const pty = ptyView(target).of(entry!);
    const discipline = withCopy(entry!.fd, disciplineOf);
    if (discipline === null && pty) throw new Refusal('it was hung up, and its master was not closed');
    if (discipline !== null && !pty) throw new Refusal('its master is held by another process');
    if (discipline) throw new Refusal('it has a line discipline other than the usual one');
    const master = pty?.masters.find(({ fd }) => isCarried(fd, target));
    return {
      kind: 'pty-slave',
      flags: entry!.info.flags,
      master: master ? fileOf(master.fd) : null,
      number: numberOf(entry!),
    };
  },
};

function isCarried(fd: number, { choices }: Target): boolean {
  return !choices.drop.has(fd) && !choices.replace.has(fd) && !choices.inherit.has(fd);
}

/** `null` where it was hung up. */
function disciplineOf(copy: number): number | null {
  try {
    return lineDiscipline(copy);
  } catch (error) {
    if (errnoOf(error) === 'EIO' || errnoOf(error) === 'ENOTTY') return null;
    throw error;
  }
}
