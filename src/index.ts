/**
 * proc2elf as a library: freeze a running Linux process into one static ELF executable that resumes
 * it, and read such images.
 *
 * @example
 * ```ts
 * import { freeze, readImage } from 'proc2elf';
 * const report = await freeze(4242, { output: 'frozen.bin', after: 'kill' });
 * const image = await readImage('frozen.bin');
 * console.log(image.snapshot.processes[0].commandLine, report.heldMs);
 * ```
 */
export { type CheckReport, checkMachine, checkProcess, type Facility } from './check.js';
export {
  ImageError,
  PermissionError,
  Proc2elfError,
  TargetError,
  UnsupportedError,
  UsageError,
} from './errors.js';
export { type FreezeOptions, type FreezeReport, freeze } from './freeze.js';
export { type Image, readImage } from './image/read.js';
export type { DescriptorChoices } from './proc/descriptors/choices.js';
export type { FileChoice, FileChoices } from './proc/file-choices.js';
export type { ImageChanges } from './rewrite/changes.js';
export { type RewriteReport, rewriteImage } from './rewrite/rewrite.js';
export type { DescriptorTable, OpenFile } from './snapshot/descriptors.js';
export type { Process, Region, Snapshot, Thread } from './snapshot/schema.js';
