/** What this machine and its kernel allow, and whether a process could be carried; reads `/proc` only. */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { addon } from './native/addon.js';
import { surveyAio } from './proc/aio.js';
import { type DescriptorChoices, NO_CHOICES } from './proc/descriptors/choices.js';
import { surveyDescriptors } from './proc/descriptors/index.js';
import { type FileChoices, FileDecisions } from './proc/file-choices.js';
import { readMappings } from './proc/maps.js';
import { assertFreezable, surveyProcess, yamaScope } from './proc/preflight.js';
import { classify, describeMapping, isAioRing } from './proc/regions.js';
import { surveySharedOutside } from './proc/shared-outside.js';
import { surveySharedSockets } from './proc/shared-sockets.js';
import { surveySharers } from './proc/sharers.js';
import { surveyUnseenRings } from './proc/uring-unseen.js';

/** A facility of the kernel, and what follows from it. */
export interface Facility {
  readonly name: string;
  readonly available: boolean;
  /** What can be done with it, or not without it. */
  readonly consequence: string;
}

/** What stands in the way of freezing a process. */
export interface CheckReport {
  readonly pid: number;
  /** Everything that cannot be carried, each with what to do. Empty: it can be frozen. */
  readonly problems: readonly string[];
}

const CAP_SYS_ADMIN = 21n;
const CAP_SYS_PTRACE = 19n;
const CAP_SYS_RESOURCE = 24n;
const CAP_CHECKPOINT_RESTORE = 40n;
const SYS_CLONE3 = 435;
const SYS_KCMP = 312;
const SYS_PIDFD_OPEN = 434;
const ENOSYS = 'ENOSYS';

/** What this machine allows, in the order in which a freeze and a thaw need it. */
export function checkMachine(): Facility[] {
  const caps = effectiveCapabilities();
  const has = (cap: bigint): boolean => (caps & (1n << cap)) !== 0n;
  const scope = yamaScope();
  const may = (name: string, available: boolean, yes: string, no: string): Facility => ({
    name,
    available,
    consequence: available ? yes : no,
  });
  return [
    may(
      '/proc',
      existsSync('/proc/self/maps'),
      'processes can be read',
      'nothing can be frozen: mount /proc',
    ),
    may(
      `ptrace (kernel.yama.ptrace_scope=${scope})`,
      scope === 0 || (scope < 3 && has(CAP_SYS_PTRACE)),
      'processes of this user can be frozen',
      scope === 1
        ? 'only child processes can be frozen: run as root'
        : scope === 2
          ? 'ptrace is limited to root: run as root'
          : 'nobody may trace until the next boot: nothing can be frozen',
    ),
    may(
      'CAP_SYS_PTRACE',
      has(CAP_SYS_PTRACE),
      'processes of every user can be frozen',
      "only this user's own processes can be frozen",
    ),
    may(
      'kcmp',
      callExists(SYS_KCMP),
      'shared file descriptions are found',
      'descriptors made by dup cannot be told apart: nothing with descriptors can be frozen',
    ),
    may(
      'pidfd_getfd',
      callExists(SYS_PIDFD_OPEN),
      'the content of pipes is carried',
      'processes with pipes of their own cannot be frozen',
    ),
    may(
      'CONFIG_CHECKPOINT_RESTORE',
      existsSync('/proc/self/timers'),
      'timers and thread id addresses can be asked for, and brk be set at thaw',
      'nothing can be frozen or thawed: the kernel needs this option',
    ),
    may(
      'clone3',
      callExists(SYS_CLONE3),
      'thawed threads can have their old ids',
      'thawed processes run under new ids',
    ),
    may(
      'CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN',
      has(CAP_CHECKPOINT_RESTORE) || has(CAP_SYS_ADMIN),
      'thawed processes get their old ids where they are free',
      'processes thawed by this user run under new ids',
    ),
    may(
      'time namespaces',
      existsSync('/proc/self/ns/time') && has(CAP_SYS_ADMIN),
      'the monotonic clock goes on where it stood, on a machine started later, too',
      'on a machine started later than the one of the freeze, the monotonic clock goes back',
    ),
    may(
      'PAGEMAP_SCAN (Linux 6.7)',
      atLeast(6, 7),
      'pages that exist are found quickly in reservations of any size',
      'the page map is read word by word: slow for reservations of terabytes',
    ),
    may(
      'CAP_SYS_RESOURCE',
      has(CAP_SYS_RESOURCE),
      'hard limits can be raised at thaw',
      'hard limits above those here stay as they are here at thaw',
    ),
    may(
      'AVX-512',
      (addon.xcr0() & 0xe0n) === 0xe0n,
      'images of programs that use it can be thawed here',
      'images of programs that use it are refused here',
    ),
  ];
}

/** Dry run: everything about a process that could not be carried. @throws TargetError, PermissionError as freeze does */
export function checkProcess(
  pid: number,
  options: {
    embedShared?: boolean;
    dropChildren?: boolean;
    workingDirectory?: string | undefined;
    descriptors?: DescriptorChoices;
    files?: FileChoices;
  } = {},
): CheckReport {
  assertFreezable(pid);
  const dropChildren = options.dropChildren ?? false;
  const embedShared = options.embedShared ?? false;
  const descriptors = options.descriptors ?? NO_CHOICES;
  const problems = [
    ...surveyProcess(pid, { dropChildren, workingDirectory: options.workingDirectory }),
    ...surveySharers(pid),
    ...surveySharedOutside(pid, { dropChildren, embedShared, descriptors }).problems,
    ...surveySharedSockets(pid, descriptors),
  ];
  const files = new FileDecisions(options.files);
  const mappings = readMappings(pid, 'smaps');
  for (const mapping of mappings) {
    const found = classify(mapping, '', { embedShared, files });
    if (found.kind === 'unsupported') problems.push(`the memory at ${describeMapping(mapping)} ${found.why}`);
  }
  problems.push(
    ...surveyAio(
      pid,
      mappings.filter(({ path }) => isAioRing(path)),
    ),
  );
  problems.push(...surveyDescriptors(pid, descriptors, files));
  problems.push(...surveyUnseenRings(pid, descriptors));
  files.assertUsed(pid);
  return { pid, problems };
}

/** None where there is no `/proc` to say so. */
function effectiveCapabilities(): bigint {
  const path = '/proc/self/status';
  const match = existsSync(path) ? /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync(path, 'utf8')) : null;
  return BigInt(`0x${match?.[1] ?? '0'}`);
}

/** Whether the kernel has a call: with arguments that it must refuse, anything but ENOSYS says yes. */
function callExists(number: number): boolean {
  try {
    addon.syscall(number, 0, 0, 0xffff, 0, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === ENOSYS);
  }
}

function atLeast(major: number, minor: number): boolean {
  const [a = 0, b = 0] = release().split('.').map(Number);
  return a > major || (a === major && b >= minor);
}
