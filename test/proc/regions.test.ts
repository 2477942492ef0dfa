import test from 'ava';
import { FileDecisions } from '../../src/proc/file-choices.js';
import type { Mapping } from '../../src/proc/maps.js';
import { classify } from '../../src/proc/regions.js';

const MEMORY: Mapping = {
  start: 0x10000n,
  end: 0x11000n,
  prot: 3,
  shared: false,
  offset: 0n,
  device: '00:00',
  inode: 0n,
  path: '',
  flags: ['rd', 'wr'],
  pageSize: 4096,
  protectionKey: 0,
  resident: 4096,
};

test('memory with a protection key is refused, unless the kernel gave it one for being executable alone', (t) => {
  const kind = (of: Partial<Mapping>) =>
    classify({ ...MEMORY, ...of }, '', { embedShared: false, files: new FileDecisions() }).kind;
  t.is(kind({}), 'anonymous');
  t.is(kind({ protectionKey: 1 }), 'unsupported');
  t.is(kind({ protectionKey: 1, prot: 5 }), 'unsupported');
  t.is(kind({ protectionKey: 1, prot: 4 }), 'anonymous');
});
