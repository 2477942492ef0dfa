/** Who has started an image and only waits for the process that it has become: see "Ids" in docs/thaw.md. */
import { closeSync, openSync } from 'node:fs';
import { readMemory } from './infect.js';
import { BLOB_HEAD } from './leftovers.js';
import { readMappings } from './maps.js';
import { readProcLink, unlessRefused } from './read.js';

const EXECUTABLE = 4;

/**
 * Whether the interpreter of the process's own file is mapped still: a process that was thawed is rid of it. Reads
 * without a stop.
 * @param blob the interpreter
 */
export function isStarter(pid: number, blob: Uint8Array): boolean {
  const exe = readProcLink(pid, 'exe');
  const texts = readMappings(pid, 'maps').filter(({ prot, path }) => prot & EXECUTABLE && path === exe);
  const head = Buffer.from(blob.subarray(0, BLOB_HEAD));
  return unlessRefused(() => {
    const mem = openSync(`/proc/${pid}/mem`, 'r');
    try {
      return texts.some(({ start }) => readMemory(mem, start, BLOB_HEAD).equals(head));
    } finally {
      closeSync(mem);
    }
  }, false);
}
