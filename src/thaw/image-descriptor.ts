/** Descriptors of our own while the process is made again: the image, and then where messages go. */
import { AT_FDCWD, O } from '../fcntl.js';
import type { Process } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { call, show } from './calls.js';
import { RESOURCES } from './limits.js';
import type { Cell, Op } from './program.js';

/** The descriptor to which messages go at first. */
export const STDERR = 2n;
/** Descriptors of our own start here, or above the process's highest. */
const LOWEST_OWN_DESCRIPTOR = 100;

/** The first number that is above all of the process's, and well below its hard limit where that is small. */
export function lowestOwn(process: Process): number {
  const limit = process.limits.find(({ resource }) => RESOURCES[resource] === 'RLIMIT_NOFILE')?.hard;
  const lowest =
    limit !== undefined && limit < 2 * LOWEST_OWN_DESCRIPTOR ? Number(limit / 2n) : LOWEST_OWN_DESCRIPTOR;
  const { descriptors, files } = process.descriptors;
  // Those among them that signals are asked for by, and that nothing has any more.
  const numbers = [...descriptors.map(({ fd }) => fd), ...files.map(({ signals }) => signals?.number ?? -1)];
  return numbers.reduce((most, fd) => Math.max(most, fd + 1), lowest);
}

/** Opens the image itself for reading, at a number above all that the process uses. */
export function openImage(arena: Arena, image: number): Op[] {
  const fd = arena.cell();
  return [
    call('openat', [AT_FDCWD, arena.string('/proc/self/exe'), O.RDONLY | O.CLOEXEC, 0], {
      result: fd,
      check: { kind: 'ok', tolerated: ['ENOENT', 'EACCES', 'ELOOP'], jump: 'no-proc' },
      label: 'cannot open the image /proc/self/exe',
      text: 'openat(AT_FDCWD, "/proc/self/exe", O_RDONLY|O_CLOEXEC)',
    }),
    { op: 'jump', to: 'image-open' },
    { op: 'mark', name: 'no-proc' },
    {
      op: 'builtin',
      name: 'open_execfn',
      args: [O.RDONLY | O.CLOEXEC],
      result: fd,
      label: 'cannot open the image',
      text: 'openat(AT_FDCWD, AT_EXECFN, O_RDONLY|O_CLOEXEC)',
    },
    { op: 'mark', name: 'image-open' },
    call('dup3', [fd, image, O.CLOEXEC], { label: 'cannot keep the image open' }),
    call('close', [fd]),
  ];
}

/** Descriptor 2 is about to become the program's own: messages go where it led, through the image's number. */
export function keepMessages(image: number, messages: Cell): Op[] {
  return [
    call('dup3', [STDERR, image, O.CLOEXEC], { check: { kind: 'none' } }),
    {
      op: 'store',
      address: messages.cell,
      width: 8,
      value: image,
      text: `messages go to descriptor ${image}`,
    },
  ];
}

/** Closes every descriptor of our own. */
export function closeOwn(first: number): Op[] {
  return [call('close_range', [first, 0xffff_ffff, 0], { text: `close_range(${show(first)}, ~0U, 0)` })];
}
