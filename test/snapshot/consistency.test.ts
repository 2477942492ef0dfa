import test from 'ava';
import { ImageError } from '../../src/errors.js';
import { O } from '../../src/fcntl.js';
import { aioContextSchema } from '../../src/snapshot/aio-context.js';
import { checkConsistency } from '../../src/snapshot/consistency.js';
import type { DescriptorTable } from '../../src/snapshot/descriptors.js';
import { descriptorTableSchema } from '../../src/snapshot/descriptors.js';
import { packetRingSchema } from '../../src/snapshot/packet-ring.js';
import type { Process, Region } from '../../src/snapshot/schema.js';
import { tcpKeySchema } from '../../src/snapshot/tcp-key.js';
import { ringShapeSchema } from '../../src/snapshot/uring.js';
import { makeProcess, makeRegion, makeSnapshot } from './fixture.js';

const refused = (t: { throws: (run: () => void, expected: object) => void }, what: object, message: RegExp) =>
  t.throws(() => checkConsistency(makeSnapshot(what)), { instanceOf: ImageError, message });

/** An IP socket, as far as it is looked at. */
const SOCKET = { kind: 'inet', flags: 2, locks: [], connection: null, urgent: null, corked: null, keys: [] };

test('guards lie within their region, in whole pages, one behind the other', (t) => {
  const { start, end } = makeRegion(0x40_0000n);
  const guarded = (...guards: { start: bigint; end: bigint }[]) => ({
    regions: [makeRegion(0x40_0000n, { guards })],
  });
  t.notThrows(() => checkConsistency(makeSnapshot(guarded({ start, end: start + 0x1000n }))));
  refused(t, guarded({ start: start - 0x1000n, end: start }), /guards\[0\]: begins before its place/);
  refused(t, guarded({ start, end: end + 0x1000n }), /guards\[0\]: ends behind its place/);
  refused(t, guarded({ start, end: start + 1n }), /guards\[0\]: is no run of pages/);
  refused(t, guarded({ start, end: start }), /guards\[0\]: begins before its place/);
  const one = { start, end: start + 0x1000n };
  refused(t, guarded(one, one), /guards\[1\]: begins before its place/);
});

test('deleted directories are those of the table', (t) => {
  const times = { accessed: 0n, modified: 0n };
  const folder = { name: '/gone', device: '00:01', inode: 1n, mode: 0o700, owner: { uid: 0, gid: 0 }, times };
  const open = { kind: 'folder', flags: 0, locks: [], folder: 0, offset: 0n };
  const process = (folders: object[], rest: object = {}) => ({
    descriptors: { ...makeProcess().descriptors, files: [open], descriptors: [], folders } as DescriptorTable,
    ...rest,
  });
  t.notThrows(() => checkConsistency(makeSnapshot(process([folder], { workingFolder: 0 }))));
  refused(t, process([]), /files\[0\]\.folder: there is no number 0/);
  refused(t, process([folder], { workingFolder: 1 }), /workingFolder: there is no number 1/);
});

test('a connection goes on only where a table of ours holds it', (t) => {
  const address = Buffer.alloc(16);
  const socket = {
    ...{ ...SOCKET, protocol: 'tcp', datagrams: [], connection: { local: address, peer: address } },
  };
  const table = (file: object, hold: string | null) => ({
    descriptors: { ...makeProcess().descriptors, files: [file], descriptors: [], hold } as DescriptorTable,
  });
  t.notThrows(() => checkConsistency(makeSnapshot(table(socket, 'proc2elf-1-00000000'))));
  refused(t, table(socket, null), /connection: goes on without a table/);
  refused(t, table({ ...socket, protocol: 'udp' }, 'proc2elf-1-00000000'), /connection: is none of TCP/);
  const other = { ...socket, connection: { local: address, peer: Buffer.alloc(28) } };
  refused(t, table(other, 'proc2elf-1-00000000'), /two families/);
  const hold = (name: string) => descriptorTableSchema.shape.hold.safeParse(name).success;
  t.true(hold('proc2elf-4242-0123abcd'));
  for (const name of ['filter', 'firewalld', 'proc2elf', 'proc2elf-1-filter']) t.false(hold(name), name);
});

test('a ring of packets is mapped as a whole, and has the blocks that it speaks of', (t) => {
  const start = 0x40_0000n;
  const ring = {
    ...{
      blockSize: 4096,
      blockCount: 2,
      frameSize: 2048,
      frameCount: 4,
      timeout: 8,
      privateSize: 0,
      features: 0,
    },
    ...{ address: start, first: 1, waiting: [0], given: null },
  };
  const socket = { kind: 'packet', flags: 2, locks: [], ring };
  const shows = (...starts: bigint[]) => ({
    regions: starts.map((at) => makeRegion(at, { shared: true, backing: { kind: 'ring' } })),
    descriptors: {
      ...makeProcess().descriptors,
      files: [socket],
      descriptors: [],
    } as unknown as DescriptorTable,
  });
  t.notThrows(() => checkConsistency(makeSnapshot(shows(start, start + 0x1000n, start + 0x2000n))));
  refused(t, shows(start), /ring: is not mapped as a whole/);
  refused(t, shows(start + 0x1000n), /ring: is mapped with gaps/);
  const others = { regions: [makeRegion(start), makeRegion(start + 0x1000n)] };
  refused(t, { ...shows(), ...others }, /ring: is not mapped as a whole/);

  const isRing = (changes: object) => packetRingSchema.safeParse({ ...ring, ...changes }).success;
  const given = { packets: 1, length: 200, last: 48, seconds: 1, nanoseconds: 2 };
  t.true(isRing({}));
  t.true(isRing({ given }));
  t.false(isRing({ first: 2 }));
  t.false(isRing({ waiting: [2] }));
  t.false(isRing({ waiting: [1] }));
  t.false(isRing({ address: start + 1n }));
  t.false(isRing({ blockSize: 4097 }));
  t.false(isRing({ given: { ...given, last: 4090 } }));
});

test('each context of io_setup has a ring, mapped as a whole, and each ring a context', (t) => {
  const start = 0x40_0000n;
  const context = { address: start, id: 1, requests: 64, events: 255, tail: 3, unread: 2 };
  const view = (at: bigint, offset = at - start, more = {}) =>
    makeRegion(at, { shared: true, offset, backing: { kind: 'aio' }, ...more });
  const process = (aioContexts: object[], ...regions: Region[]) =>
    ({ aioContexts, regions }) as Partial<Process>;
  const whole = [view(start), view(start + 0x1000n)];
  t.notThrows(() => checkConsistency(makeSnapshot(process([context], ...whole))));
  refused(t, process([context], view(start)), /aioContexts\[0\]: is not mapped as a whole/);
  refused(t, process([context], view(start + 0x1000n)), /aioContexts\[0\]: is not mapped as a whole/);
  refused(
    t,
    process([context], view(start), view(start + 0x1000n, 0n)),
    /is mapped otherwise than as a ring/,
  );
  refused(
    t,
    process([context], view(start), view(start + 0x1000n, 0x1000n, { shared: false })),
    /is mapped otherwise than as a ring/,
  );
  const long = view(start, 0n, { end: start + 0x3000n });
  refused(t, process([context], long), /aioContexts\[0\]: is not mapped as a whole/);
  refused(t, process([context], makeRegion(start), makeRegion(start + 0x1000n)), /is not mapped as a whole/);
  refused(t, process([], ...whole), /regions: show a ring of no context/);
  refused(
    t,
    process([context, { ...context, id: 2 }], ...whole),
    /aioContexts\[1\]: is not mapped as a whole/,
  );
  const other = { ...context, address: start + 0x2000n, events: 127, id: 1 };
  refused(t, process([context, other], ...whole, view(other.address, 0n)), /\[1\]\.id: is not behind/);

  const isContext = (changes: object) => aioContextSchema.safeParse({ ...context, ...changes }).success;
  t.true(isContext({}));
  t.true(isContext({ tail: 254, unread: 254 }));
  for (const changes of [
    ...[{ address: start + 1n }, { events: 256 }, { events: -1 }, { tail: 255 }, { unread: 255 }],
    ...[{ id: -1 }, { id: 65537 }, { requests: 0 }, { events: (1 << 24) - 1 }],
  ]) {
    t.false(
      isContext(changes),
      JSON.stringify(changes, (_, value) => String(value)),
    );
  }
});

test('what is on its way in a socket is there, and goes with something that was sent', (t) => {
  const common = { flags: 2, locks: [] };
  const event = { kind: 'eventfd', ...common, count: 0n, semaphore: false };
  const socket = (passed: object[], more = {}) => ({
    ...{ kind: 'unix', ...common, type: 'stream', peer: 0, gone: null, credentials: true, senders: [] },
    ...{ content: [Buffer.from('x'), Buffer.alloc(0)], passed, ...more },
  });
  const table = (passed: object[], more = {}, other: object = event, descriptors: object[] = []) => ({
    descriptors: {
      ...makeProcess().descriptors,
      ...{ files: [socket(passed, more), other], descriptors },
    } as unknown as DescriptorTable,
  });
  const one = { message: 0, files: [0, 1, 1] };
  t.notThrows(() => checkConsistency(makeSnapshot(table([one]))));
  t.notThrows(() =>
    checkConsistency(makeSnapshot(table([one, { ...one, message: 1 }], { type: 'datagram' }))),
  );
  refused(t, table([{ ...one, message: 2 }]), /passed\[0\]\.message: there is no number 2/);
  refused(t, table([one, one]), /passed\[1\]\.message: is not behind/);
  refused(t, table([{ ...one, message: 1 }]), /passed\[0\]: goes with no byte/);
  refused(t, table([{ message: 0, files: [2] }]), /passed\[0\]\.files\[0\]: there is no number 2/);
  const sender = { uid: 1, gid: 2 };
  t.notThrows(() => checkConsistency(makeSnapshot(table([one], { senders: [sender, sender] }))));
  for (const more of [{ senders: [sender] }, { senders: [sender, sender], credentials: false }])
    refused(t, table([one], more), /senders: are not those of all that waits/);
  refused(t, table([one], { peer: null }), /passed: has nobody who could have sent it/);
  const signals = { owner: { kind: 'process' }, signal: 50 };
  const numbering = { ...event, flags: 2 | O.ASYNC, signals };
  refused(t, table([one], {}, numbering), /passed\[0\]\.files\[1\]: its signals \(F_SETSIG\) bear/);
  refused(t, table([one], {}, { ...event, lease: 'read', signals }), /files\[1\]: its signals/);
  t.notThrows(() => checkConsistency(makeSnapshot(table([one], {}, { ...numbering, flags: 2 }))));
  t.notThrows(() =>
    checkConsistency(makeSnapshot(table([one], {}, { ...numbering, signals: { ...signals, signal: 0 } }))),
  );
  const bearing = (number: number) => ({ ...numbering, signals: { ...signals, number } });
  t.notThrows(() => checkConsistency(makeSnapshot(table([one], {}, bearing(77)))));
  for (const number of [0, 2])
    refused(t, table([one], {}, bearing(number)), /signals\.number: number \d is another/);
  const numbered = [{ fd: 3, file: 1, closeOnExec: false }];
  t.notThrows(() => checkConsistency(makeSnapshot(table([one], {}, bearing(3), numbered))));
  const others = [...numbered, { fd: 77, file: 0, closeOnExec: false }];
  refused(t, table([one], {}, bearing(77), others), /files\[1\]\.signals\.number: number 77 is another's/);
  t.notThrows(() => checkConsistency(makeSnapshot(table([one], {}, numbering, numbered))));
  const thread = {
    kind: 'pidfd',
    ...common,
    stranger: null,
    ended: null,
    thread: makeProcess().threads[0]!.tid,
  };
  refused(t, table([one], {}, thread, numbered), /files\[1\]: it refers to a thread/);
});

test('a process that has ended ended in one way', (t) => {
  const pidfd = { kind: 'pidfd', flags: 2, locks: [], thread: null, stranger: null };
  const table = (...ends: object[]) => ({
    descriptors: {
      ...makeProcess().descriptors,
      ...{ files: ends.map((end) => ({ ...pidfd, ...end })), descriptors: [] },
    } as unknown as DescriptorTable,
  });
  const of = (exit: number | null, inode: bigint | null) => ({ ended: { exit, inode } });
  t.notThrows(() => checkConsistency(makeSnapshot(table(of(9, 1n), of(9, 1n), of(15, 2n), of(null, null)))));
  t.notThrows(() => checkConsistency(makeSnapshot(table(of(9, null), of(15, null)))));
  refused(t, table(of(9, 1n), of(15, 1n)), /files\[1\]\.ended: differs for one process/);
  refused(t, table(of(9, 1n), of(null, 1n)), /files\[1\]\.ended: differs for one process/);
  const thread = makeProcess().threads[0]!.tid;
  refused(t, table({ ...of(9, 1n), thread }), /files\[0\]: refers to two processes/);
  const reads = (exit: number | null) =>
    descriptorTableSchema.shape.files.element.safeParse({ ...pidfd, ...of(exit, 1n) }).success;
  for (const exit of [null, 0, 0xff00, 1, 9, 64]) t.true(reads(exit), String(exit));
  for (const exit of [-1, 17, 19, 65, 0x10000, 0x8b, 0x109]) t.false(reads(exit), String(exit));
});

test('one terminal controls a session', (t) => {
  const master = { kind: 'pty-master', flags: 2, locks: [], controls: true };
  const table = (...files: object[]) => ({
    descriptors: { ...makeProcess().descriptors, files, descriptors: [] } as unknown as DescriptorTable,
  });
  t.notThrows(() => checkConsistency(makeSnapshot(table(master, { ...master, controls: false }))));
  refused(t, table(master, master), /files: has more than one controlling terminal/);
});

test('datagrams wait in sockets of UDP', (t) => {
  const table = (protocol: string, datagrams: object[]) => ({
    descriptors: {
      ...makeProcess().descriptors,
      ...{ files: [{ ...SOCKET, protocol, datagrams }], descriptors: [] },
    } as unknown as DescriptorTable,
  });
  for (const protocol of ['udp', 'udplite']) {
    t.notThrows(() => checkConsistency(makeSnapshot(table(protocol, [{}]))), protocol);
  }
  t.notThrows(() => checkConsistency(makeSnapshot(table('tcp', []))));
  for (const protocol of ['tcp', 'raw', 'ping']) {
    refused(t, table(protocol, [{}]), /datagrams: wait in a socket that is none of UDP/);
  }
});

test('keys of TCP MD5 belong to sockets of TCP, and fit their addresses', (t) => {
  const table = (protocol: string) => ({
    descriptors: {
      ...makeProcess().descriptors,
      files: [{ ...SOCKET, datagrams: [], protocol, keys: [{}] }],
      descriptors: [],
    } as unknown as DescriptorTable,
  });
  t.notThrows(() => checkConsistency(makeSnapshot(table('tcp'))));
  refused(t, table('udp'), /keys: are of a socket that is none of TCP/);
  const fits = (host: number, prefix: number, key: number) =>
    tcpKeySchema.safeParse({ host: new Uint8Array(host), prefix, key: new Uint8Array(key) }).success;
  t.true(fits(4, 32, 80));
  t.true(fits(16, 128, 1));
  for (const [host, prefix, key] of [
    [4, 33, 1],
    [16, 129, 1],
    [4, 32, 0],
    [4, 32, 81],
    [5, 0, 1],
  ] as const) {
    t.false(fits(host, prefix, key), `${host} ${prefix} ${key}`);
  }
});

test('a file about a thread is in the folder of one that the first thread starts', (t) => {
  const [leader] = makeProcess().threads;
  const threads = [leader!, { ...leader!, tid: leader!.tid + 1 }];
  const table = (path: string, thread: number | null) => ({
    threads,
    descriptors: {
      ...makeProcess().descriptors,
      files: [{ kind: 'file', type: 'regular', path, flags: 0, locks: [], late: { thread } }],
      descriptors: [{ fd: 3, file: 0, closeOnExec: false }],
    } as unknown as DescriptorTable,
  });
  const other = leader!.tid + 1;
  t.notThrows(() => checkConsistency(makeSnapshot(table('/proc/thread-self/stat', other))));
  t.notThrows(() => checkConsistency(makeSnapshot(table('/proc/thread-self', other))));
  t.notThrows(() => checkConsistency(makeSnapshot(table('/proc/self/fdinfo/3', null))));
  refused(t, table('/proc/self/fdinfo/4', null), /path: there is no descriptor 4/);
  refused(t, table('/proc/thread-self/fdinfo/4', other), /path: there is no descriptor 4/);
  refused(t, table('/proc/thread-self/stat', leader!.tid), /late: there is no thread/);
  refused(t, table('/proc/thread-self/stat', other + 1), /late: there is no thread/);
  refused(t, table('/proc/thread-selfish', other), /path: is none of a thread/);
});

test('an io_uring is mapped as a whole, and what is registered with it is there', (t) => {
  const [rings, entries] = [0x40_0000n, 0x40_1000n];
  const offsets = new Uint8Array(80);
  new Uint32Array(offsets.buffer).set([0, 4, 16, 24, 36, 32, 320, 0, 0, 0, 8, 12, 20, 28, 44, 64]);
  const ring = {
    ...{ setup: 0, sqEntries: 8, cqEntries: 16, features: 1, offsets },
    ...{ sqHead: 5, cqTail: 5, unread: 2, drainDisabled: false },
    views: [
      { address: rings, size: 4096, offset: 0n },
      { address: entries, size: 4096, offset: 0x1000_0000n },
    ],
  };
  const file = {
    ...{ kind: 'uring', flags: 2, locks: [], ring, slots: null, buffers: null, eventfd: null },
    ...{ workers: null, clock: 1, numbers: [] },
  };
  let region = {};
  const has = (changes: object, ...starts: bigint[]) => ({
    regions: starts.map((at) =>
      makeRegion(at, {
        ...{ shared: true, offset: at === entries ? 0x1000_0000n : 0n, backing: { kind: 'uring' } },
        ...region,
      }),
    ),
    descriptors: {
      ...makeProcess().descriptors,
      files: [{ ...file, ...changes }],
      descriptors: [],
    } as unknown as DescriptorTable,
  });
  t.notThrows(() => checkConsistency(makeSnapshot(has({}, rings, entries))));
  refused(t, has({}, rings), /ring.views: are not mapped/);
  refused(t, has({}, rings, entries, 0x50_0000n), /regions: show an io_uring that is not there/);
  const slots = { files: [{ file: 1, tag: 0n }], first: 0, end: 1, next: 0 };
  refused(t, has({ slots }, rings, entries), /slots.files\[0\].file: there is no number 1/);
  const itself = { ...slots, files: [{ file: 0, tag: 0n }] };
  refused(t, has({ slots: itself }, rings, entries), /slots.files\[0\].file: has no descriptor/);
  refused(t, has({ owner: { uid: 1, gid: 1 } }, rings, entries), /owner: is of what others have as well/);
  for (region of [{ shared: false }, { offset: 0x800_0000n }])
    refused(t, has({}, rings, entries), /ring.views: are not mapped/);
  region = {};
  const none = { ...slots, files: [null] };
  refused(t, has({ slots: { ...none, end: 2 } }, rings, entries), /slots: ends before/);
  refused(t, has({ eventfd: { file: 0, async: false } }, rings, entries), /eventfd.file: is no eventfd/);
  refused(t, has({ numbers: [{ thread: 99, slot: 0 }] }, rings, entries), /numbers: there is no thread 99/);

  const isRing = (changes: object) => ringShapeSchema.safeParse({ ...ring, ...changes }).success;
  t.true(isRing({}));
  t.false(isRing({ sqEntries: 7 }));
  t.false(isRing({ unread: 17 }));
  t.false(isRing({ cqEntries: 512 }), 'more than is mapped');
  t.false(isRing({ sqEntries: 128 }), 'more than is mapped');
  t.false(isRing({ setup: 2 }), 'IORING_SETUP_SQPOLL');
  t.false(isRing({ setup: 1 << 6 }), 'disabled, and used');
  t.false(isRing({ views: ring.views.slice(0, 1) }));
  t.false(isRing({ offsets: offsets.map(() => 0xff) }));
});
