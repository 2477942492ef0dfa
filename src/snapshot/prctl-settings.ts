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
  /** Arguments of `set` before the value. */
  readonly before?: readonly number[];
  readonly usual: number;
  /** Nothing but speed depends on it: where it is not permitted, the process goes on without it. */
  readonly optional?: true;
}

/** The process as a whole. */
export const PROCESS_SETTINGS: readonly PrctlSetting[] = [
  { name: 'PR_SET_MEMORY_MERGE', get: 68, set: 67, usual: 0, optional: true },
  { name: 'PR_SET_MDWE', get: 66, set: 65, usual: 0 },
];

/** Each thread. */
export const THREAD_SETTINGS: readonly PrctlSetting[] = [
  { name: 'PR_MCE_KILL', get: 34, set: 33, before: [1], usual: 2 },
  { name: 'PR_SET_TSC', get: 25, byAddress: true, set: 26, usual: 1 },
];

/** Option of prctl(2) by which a process gives up ever making memory executable that was not. */
export const PR_SET_MDWE = 65;
