/** Descriptors of io_uring. */
import type { Process } from '../schema.js';
import { fail, requireIndex } from './damage.js';

/** Views of an io_uring are mapped as such, each by one, and what is registered with it is there. @throws ImageError */
export function checkUrings(
  { regions, threads, descriptors: { files, descriptors } }: Process,
  where: string,
): void {
  const shown = new Map(
    regions.filter(({ backing }) => backing.kind === 'uring').map((region) => [region.start, region]),
  );
  const isNumbered = (index: number): boolean => descriptors.some(({ file }) => file === index);
  files.forEach((file, i) => {
    if (file.kind !== 'uring') return;
    const place = `${where}.descriptors.files[${i}]`;
    for (const { address, size, offset } of file.ring.views) {
      const region = shown.get(address);
      if (!region?.shared || region.end !== address + BigInt(size) || region.offset !== BigInt(offset))
        fail(`${place}.ring.views`, 'are not mapped');
      shown.delete(address);
    }
    const { slots, eventfd, numbers } = file;
    slots?.files.forEach((slot, j) => {
      if (slot === null) return;
      requireIndex(slot.file, files, `${place}.slots.files[${j}].file`);
      if (!isNumbered(slot.file)) fail(`${place}.slots.files[${j}].file`, 'has no descriptor');
    });
    if (slots !== null && (slots.first > slots.end || slots.end > slots.files.length))
      fail(`${place}.slots`, 'ends before it begins, or behind its end');
    if (eventfd !== null) {
      requireIndex(eventfd.file, files, `${place}.eventfd.file`);
      if (files[eventfd.file]!.kind !== 'eventfd') fail(`${place}.eventfd.file`, 'is no eventfd');
      if (!isNumbered(eventfd.file)) fail(`${place}.eventfd.file`, 'has no descriptor');
    }
    for (const { thread } of numbers) {
      if (thread !== null && !threads.slice(1).some(({ tid }) => tid === thread))
        fail(`${place}.numbers`, `there is no thread ${thread}`);
    }
  });
  if (shown.size > 0) fail(`${where}.regions`, 'show an io_uring that is not there');
}
