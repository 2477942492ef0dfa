import test from 'ava';
import type { DescriptorTable, OpenFileOf } from '../../../src/snapshot/descriptors.js';
import { SETUP } from '../../../src/uring.js';
import { plan } from './support.js';

const ring: OpenFileOf<'uring'> = {
  ...{ kind: 'uring', flags: 0o2, locks: [] },
  ring: {
    ...{ setup: SETUP.CQSIZE, sqEntries: 4, cqEntries: 16, features: 0x3fff, offsets: new Uint8Array(80) },
    ...{ sqHead: 0, cqTail: 0, unread: 0, drainDisabled: false, views: [] },
  },
  slots: { files: [null, { file: 1, tag: 0n }], first: 0, end: 2, next: 0 },
  ...{ buffers: null, workers: null, clock: 1 },
  eventfd: { file: 1, async: false },
  numbers: [{ thread: null, slot: 3 }],
};
const table: DescriptorTable = {
  files: [ring, { kind: 'eventfd', flags: 0o2, locks: [], count: 0n, semaphore: false }],
  descriptors: [
    { fd: 5, file: 0, closeOnExec: true },
    { fd: 6, file: 1, closeOnExec: false },
  ],
  ...{ folders: [], pipes: [], terminal: null, hold: null },
};

test('what is registered with an io_uring is so last of all, when all files have their numbers', (t) => {
  const texts = plan({ table, objects: [] }).ops.flatMap((op) => ('text' in op && op.text ? [op.text] : []));
  const at = (pattern: RegExp): number => texts.findLastIndex((text) => pattern.test(text));
  t.true(at(/^io_uring_setup\(4, \{IORING_SETUP_CQSIZE, 16\}\)$/) >= 0);
  const registered = texts.slice(at(/^close_range/) + 1).filter((text) => /^io_uring_register\(5/.test(text));
  t.is(registered.length, texts.filter((text) => /^io_uring_register/.test(text)).length);
  t.true(registered.length >= 3, texts.join('\n'));
});
