import type { Addon } from '../native/addon.js';

/** What writing needs of the addon. Tests put something else in its place. */
export type Native = Pick<Addon, 'copy' | 'syscall'>;

/** The addon, loaded only when something is written: reading an image works without it. */
export async function loadNative(): Promise<Native> {
  return (await import('../native/addon.js')).addon;
}
