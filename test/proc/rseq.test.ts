import test from 'ava';
import { blankRseq } from '../../src/proc/rseq.js';
import { makeThread } from '../snapshot/fixture.js';

const MEM = 10;
const ZEROS = 11;

test("the kernel's fields and the critical section are left out, the rest is copied", (t) => {
  const thread = makeThread(1, { rseq: { address: 0x1fe0n, length: 32, signature: 0 } });
  const copies = [{ fd: MEM, source: 0x1000n, size: 0x2000, offset: 0x5000 }];
  t.deepEqual(blankRseq(copies, [thread], ZEROS), [
    { fd: MEM, source: 0x1000n, size: 0xfe0, offset: 0x5000 },
    { fd: ZEROS, source: 0n, size: 16, offset: 0x5fe0 },
    { fd: MEM, source: 0x1ff0n, size: 4, offset: 0x5ff0 },
    { fd: ZEROS, source: 0n, size: 8, offset: 0x5ff4 },
    { fd: MEM, source: 0x1ffcn, size: 0x1004, offset: 0x5ffc },
  ]);
});

test('a process without areas is copied as it is', (t) => {
  const copies = [{ fd: MEM, source: 0x1000n, size: 0x2000, offset: 0x5000 }];
  t.deepEqual(blankRseq(copies, [makeThread(1, { rseq: null })], ZEROS), copies);
});
