/**
 * Settings that prctl(2) can both tell and bring back, and that most programs leave alone. Numbers of
 * `linux/prctl.h`. A kernel that does not know one has nothing to tell.
 */

/** One setting. A value is carried only where it is not the usual one. */
export interface PrctlSetting {
  readonly name: string;
  readonly get: number;
  /** The value is written to the second argument rather than returned. */
  readonly byAddress?: true;
  readonly set: number;
  /** Argument of `set` before the value. */
  readonly before?: number;
  /** One option is about several things: `before` is the argument of `get`, too. */
  readonly several?: true;
  /** What to set again, by what was told; `null`: nothing, it is as usual. */
  readonly carried: (told: number) => number | null;
  /** Errors with which the process goes on without it: nothing that it computes depends on it. */
  readonly tolerated?: readonly string[];
}

const unless =
  (usual: number): PrctlSetting['carried'] =>
  (told) =>
    told === usual ? null : told;

const PR_SPEC_PRCTL = 1;
const PR_SPEC_ENABLE = 2;
const PR_SPEC_DISABLE = 4;

/** Where the thread has no choice (PR_SPEC_PRCTL is off), it is the machine's. */
const chosenUnless =
  (usual: number): PrctlSetting['carried'] =>
  (told) =>
    told & PR_SPEC_PRCTL && told !== (PR_SPEC_PRCTL | usual) ? told & ~PR_SPEC_PRCTL : null;

/** The processor of the thaw may not need it, or its administrator not let anybody choose. */
const speculation = (what: number, usual: number): PrctlSetting => ({
  name: 'PR_SET_SPECULATION_CTRL',
  get: 52,
  set: 53,
  before: what,
  several: true,
  carried: chosenUnless(usual),
  tolerated: ['EPERM', 'ENXIO', 'ENODEV', 'EINVAL'],
});

const PR_THP_DISABLE_EXCEPT_ADVISED = 2;
const THP_UNLESS_ADVISED = 1 | PR_THP_DISABLE_EXCEPT_ADVISED;

/** The process as a whole. */
export const PROCESS_SETTINGS: readonly PrctlSetting[] = [
  { name: 'PR_SET_MEMORY_MERGE', get: 68, set: 67, carried: unless(0), tolerated: ['EPERM', 'EINVAL'] },
  { name: 'PR_SET_MDWE', get: 66, set: 65, carried: unless(0) },
  // Linux 6.18; all huge pages are forbidden before (`thpDisabled`), and stay so where this is not known.
  {
    name: 'PR_SET_THP_DISABLE',
    get: 42,
    set: 41,
    before: 1,
    carried: (told) => (told === THP_UNLESS_ADVISED ? PR_THP_DISABLE_EXCEPT_ADVISED : null),
    tolerated: ['EINVAL'],
  },
];

/** Each thread. */
export const THREAD_SETTINGS: readonly PrctlSetting[] = [
  { name: 'PR_MCE_KILL', get: 34, set: 33, before: 1, carried: unless(2) },
  { name: 'PR_SET_TSC', get: 25, byAddress: true, set: 26, carried: unless(1) },
  speculation(0, PR_SPEC_ENABLE), // PR_SPEC_STORE_BYPASS
  speculation(1, PR_SPEC_ENABLE), // PR_SPEC_INDIRECT_BRANCH
  speculation(2, PR_SPEC_DISABLE), // PR_SPEC_L1D_FLUSH: enabled, the cache is flushed
];

/** Option of prctl(2) by which a process gives up ever making memory executable that was not. */
export const PR_SET_MDWE = 65;
