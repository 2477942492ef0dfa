/** Masters of pseudoterminals that the process has to itself, with what is under way in them. */

import { statSync } from 'node:fs';
import { filePath } from '../../byte-text.js';
import { PermissionError } from '../../errors.js';
import { O } from '../../fcntl.js';
import { lookInto } from '../../kernel/open.js';
import { slaveUse } from '../../kernel/terminals.js';
import {
  controlledSession,
  foregroundGroup,
  hasLockedModes,
  lineDiscipline,
  masterSwitches,
  type PtySwitches,
  ptyQueues,
} from '../../native/pty.js';
import { Poll, pollNow } from '../../native/sockets.js';
import { tcgets2, tiocgwinsz } from '../../native/syscalls.js';
import { inputLength, MOST_INPUT, MOST_OUTPUT } from '../../pty.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { errnoOf } from '../read.js';
import type { DescriptorKind, KindContext } from './kind.js';
import { pathProblem } from './paths.js';
import { isCarried, isPtyMaster, type Pty, ptyView } from './pty-view.js';
import { Refusal } from './refusal.js';
import type { Target } from './target.js';
import { nameOf } from './threads.js';

type Queues = Pick<OpenFileOf<'pty-master'>, 'typed' | 'output' | 'letGo' | 'controls' | 'unopened'> & {
  readonly exclusive: boolean;
};

const NOTHING = { typed: new Uint8Array(), output: new Uint8Array(), exclusive: false, controls: false };

/** Why the queues were left alone, by {@link PtyQueues.obstacle}. */
const OBSTACLES = [
  '',
  'it has a status of packet mode that was not read, and cannot be seen without being taken',
  'its output is stopped (Ctrl-S), or as much waits in it as fits',
  'as much input waits in it as fits',
];

/** Masters of pseudoterminals. */
export const ptyMaster: DescriptorKind = {
  matches: (entry) => isPtyMaster(entry),
  describe: ({ link }) => `pseudoterminal master, ${link}`,
  problem: (entry, target) => {
    const pty = ptyView(target).of(entry)!;
    return (
      pathProblem(entry, target) ??
      sharedProblem(pty, target) ??
      sessionProblem(pty, target) ??
      signalProblem(pty)
    );
  },
  capture: ({ entries: [entry] }, context) => {
    const pty = ptyView(context.target).of(entry!)!;
    return context.withCopy(entry!.fd, (copy) => {
      if (lineDiscipline(copy) !== 0) throw new Refusal('it has a line discipline other than the usual one');
      // They would have to be changed to see what is in it.
      if (hasLockedModes(copy)) throw new Refusal('some of its modes are locked (TIOCSLCKTRMIOS)');
      const { exclusive, ...switches } = masterSwitches(copy);
      const queues = queuesOf(pty, copy, { exclusive, ...switches }, context);
      return {
        kind: 'pty-master',
        flags: entry!.info.flags,
        path: entry!.link,
        number: pty.number,
        modes: tcgets2(copy),
        size: tiocgwinsz(copy),
        ...switches,
        exclusive: { master: exclusive, slave: queues.exclusive },
        typed: queues.typed,
        output: queues.output,
        controls: queues.controls,
        ...(queues.letGo ? { letGo: true } : {}),
        ...(queues.unopened ? { unopened: true } : {}),
        node: nodeOf(pty, context.target),
      };
    });
  },
};

function sharedProblem(pty: Pty, target: Target): string | null {
  const view = ptyView(target);
  const other = view.holderOfMaster(pty);
  if (other !== null) return `process ${nameOf(other)} has it open, too`;
  const holder = view.holderOfSlave(pty);
  if (holder === null) return null;
  const has = `process ${nameOf(holder)} has its other side, ${pty.path}, and stays behind`;
  if (pty.slaves.length > 0) return has;
  return target.choices.ptyPeer === 'close'
    ? null
    : `${has} (--pty-peer close: the program finds that side closed)`;
}

/** What the process is itself, the leader of a session that is in the foreground, it can be again. */
function sessionProblem({ controls, slaves }: Pty, { terminal, pid }: Target): string | null {
  if (!controls || slaves.length === 0) return null;
  return terminal.session === pid
    ? null
    : `it controls the process's session, and process ${nameOf(terminal.session)}, which leads that, stays behind`;
}

/** What is taken and put back would be told as new. */
function signalProblem({ masters, slaves }: Pty): string | null {
  return [...masters, ...slaves].some(({ info }) => info.flags & O.ASYNC)
    ? 'it sends signals when there is input or output (O_ASYNC), and looking into it would send some'
    : null;
}

function queuesOf(pty: Pty, copy: number, switches: PtySwitches, context: KindContext): Queues {
  const { target, warnings } = context;
  const close = target.choices.ptyPeer === 'close' && pty.slaves.length === 0;
  const events = pollNow(copy);
  if (pty.slaves.length === 0 && !(events & Poll.HUP)) {
    // Others may write and read meanwhile: nothing can be taken and put back.
    const used = usedProblem(copy);
    if (used === null) return { ...NOTHING, unopened: true };
    if (!close) throw new Refusal(`${used} (--pty-peer close: the program finds that side closed)`);
    if (events & (Poll.IN | Poll.PRI)) {
      warnings.push(
        `descriptor ${pty.masters[0]!.fd} (master of ${pty.path}): what was written to it and not read stays behind`,
      );
    }
    return { ...NOTHING, letGo: true };
  }
  const controls = controlsProcess(copy, target);
  return {
    ...take(copy, switches),
    controls: controls && pty.slaves.some((slave) => isCarried(slave, target)),
  };
}

/** Whether it is the controlling terminal of the process, which leads its session. @throws Refusal where it is another's */
function controlsProcess(copy: number, { terminal, pid }: Target): boolean {
  const session = controlledSession(copy);
  if (session === null) return false;
  if (session !== pid || session !== terminal.session)
    throw new Refusal('it controls a session of processes that stay behind');
  if (foregroundGroup(copy) !== pid)
    throw new Refusal('it controls the session of the process, which is not in the foreground there');
  return true;
}

/** Why it is not as new, with a slave that nobody has opened yet; `null` if it is. */
function usedProblem(copy: number): string | null {
  if (controlledSession(copy) !== null)
    return 'its other side controls a session of processes that stay behind';
  return lookInto(
    (kernel) => {
      const { opened, untouched } = slaveUse(kernel, copy);
      if (opened > 0) return 'its other side is held by a process that cannot be seen';
      return untouched ? null : 'something was typed before anybody has opened its other side';
    },
    (why) =>
      `its other side was never opened, so that what may have been typed cannot be seen, or is held by a process that cannot be seen: ${why}`,
  );
}

function take(copy: number, switches: PtySwitches): Omit<Queues, 'controls'> {
  let queues: ReturnType<typeof ptyQueues>;
  try {
    queues = ptyQueues(copy, switches);
  } catch (error) {
    if (errnoOf(error) !== 'EBUSY') throw error;
    throw new PermissionError(
      'a pseudoterminal is exclusive (TIOCEXCL): to see what is in it takes CAP_SYS_ADMIN',
    );
  }
  const { obstacle, typed, output, exclusive } = queues;
  if (obstacle > 0) throw new Refusal(OBSTACLES[obstacle]!);
  const input = inputLength(typed);
  if (input > MOST_INPUT) throw new Refusal(`${input} bytes of input wait in it, more than ${MOST_INPUT}`);
  if (output.length > MOST_OUTPUT) {
    throw new Refusal(`${output.length} bytes of output wait in it, more than ${MOST_OUTPUT}`);
  }
  return { typed, output, exclusive };
}

/** Mode and owner of the slave's file. */
function nodeOf({ path, dev }: Pty, { root }: Target): OpenFileOf<'pty-master'>['node'] {
  try {
    const found = statSync(filePath(root + path), { bigint: true });
    if (found.dev !== dev) return null;
    return { mode: Number(found.mode) & 0o7777, uid: Number(found.uid), gid: Number(found.gid) };
  } catch {
    return null;
  }
}
