/** Machine code that runs in a target for tests, and how it gets there. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Tracer } from '../../src/native/tracer.js';

/** Sets flags, clobbers every register, calls getpid twice, makes the call that says it is done. */
export const CLOBBER = Buffer.from(
  'fc' + // cld
    'b8270000000f05' + // getpid
    '660fefc0660fefff66450fefff' + // pxor xmm0, xmm7, xmm15
    'd9eed9eed9ee' + // fldz, three times
    '4831db4831c94831d24831ed4d31e44d31ed4d31f64d31ff' + // xor of general registers
    'b8270000000f05' +
    'b8006532700f05' + // QUERY_DONE_SYSCALL
    '0f0b', // ud2
  'hex',
);

/** Maps 64 KiB in the target, copies `code` to the start. Returns the address. */
export function plant(tracer: Tracer, pid: number, tid: number, gadget: bigint, code: Uint8Array): bigint {
  const address = tracer.syscall(tid, gadget, 9, [0n, 65536n, 7n, 0x22n, -1n, 0n]); // mmap
  const memory = openSync(`/proc/${pid}/mem`, 'r+');
  writeSync(memory, code, 0, code.length, Number(address));
  closeSync(memory);
  return address;
}
