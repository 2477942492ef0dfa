/** Contexts of asynchronous input and output, made and brought to where they were by the interpreter. */
import { availableParallelism } from 'node:os';
import test from 'ava';
import type { AioContext } from '../../src/snapshot/aio-context.js';
import { planAio } from '../../src/thaw/aio.js';
import type { Arena } from '../../src/thaw/arena.js';
import type { MemoryContext } from '../../src/thaw/memory.js';
import type { Op } from '../../src/thaw/program.js';
import { buildImage } from './support/image.js';
import { call, dump, main } from './support/ops.js';
import { nameOf, run } from './support/run.js';

const ADDRESS = 0x2000_0000n;
const MOST_ROOM = 8192n;
const PAGE_EVENTS = 128;
const nothing: MemoryContext = { image: -1, objects: [], readers: new Map(), mappedFiles: [] };

function makeContext(changes: Partial<AioContext> = {}): AioContext {
  return { address: ADDRESS, id: 0, requests: 300, events: 639, tail: 0, unread: 0, ...changes };
}

/** The first four words of each ring, and how many events each has. */
function thaw(contexts: readonly AioContext[], more: (arena: Arena) => Op[] = () => []): number[][] {
  const image = buildImage((arena) => {
    const events = arena.reserve(32 * Number(MOST_ROOM));
    const counts = contexts.map(() => arena.cell());
    return {
      programs: [
        main(
          ...planAio(arena, { aioContexts: [...contexts] }, [], nothing),
          ...more(arena),
          ...contexts.flatMap(({ address }, i) => [
            dump(address, 16),
            call('io_getevents', [address, 0, MOST_ROOM, events, 0], { result: counts[i]! }),
            dump(counts[i]!.cell, 4),
          ]),
        ),
      ],
    };
  });
  const { status, stdout, stderr } = run(image);
  if (status !== 0) throw new Error(stderr.replace(nameOf(image), 'image'));
  return contexts.map((_, i) =>
    Array.from({ length: 5 }, (_, word) => stdout.readUInt32LE(20 * i + 4 * word)),
  );
}

test('the kernel goes on where it was, whatever was unread', (t) => {
  const shapes = [
    { tail: 0, unread: 0 },
    { tail: 1, unread: 1 },
    { tail: 500, unread: 0 },
    { tail: 500, unread: 321 },
    { tail: 0, unread: 600 },
    { tail: 20, unread: 300 },
    { tail: 638, unread: 600 },
  ];
  for (const { tail, unread } of shapes) {
    const head = (tail - unread + 639) % 639;
    t.deepEqual(thaw([makeContext({ tail, unread })]), [[0, 639, head, tail, unread]]);
  }
});

test('contexts have their numbers, and places next to each other', (t) => {
  const second = ADDRESS + 5n * 4096n;
  const contexts = [
    makeContext({ id: 2, tail: 7, unread: 3 }),
    makeContext({ id: 5, address: second, tail: 9, unread: 9 }),
  ];
  t.deepEqual(thaw(contexts), [
    [2, 639, 4, 7, 3],
    [5, 639, 0, 9, 9],
  ]);
});

test('numbers between them are free again', (t) => {
  const again = (arena: Arena): Op[] => {
    const made = arena.cell();
    const head = arena.bytes(Uint8Array.of(0, 0, 0, 0));
    return [
      call('io_setup', [1, made.cell]),
      { op: 'compare', left: made, right: head, size: 4, check: { kind: 'equal', expected: 0 } },
    ];
  };
  t.notThrows(() => thaw([makeContext({ id: 2 })], again));
});

test('a ring that was larger as there were more processors is made by asking for more', (t) => {
  const events = 20 * PAGE_EVENTS - 1;
  t.deepEqual(thaw([makeContext({ requests: 1, events, tail: 2, unread: 1 })]), [[0, events, 1, 2, 1]]);
});

test('a ring that cannot be as small is refused', (t) => {
  t.throws(() => thaw([makeContext({ events: 511 })]), {
    message:
      'image: cannot make the AIO context at 20000000: the kernel gives it another ring than one for 511 events, as on a machine with more processors\n',
  });
});

test('a kernel that allows no such number is named', (t) => {
  t.throws(() => thaw([makeContext({ requests: 0x100_0000, events: (1 << 23) - 1 })]), {
    message:
      /^image: cannot make the AIO context at 20000000 for \d+ requests \(fs\.aio-max-nr\): E(AGAIN|INVAL)\n$/,
  });
});

test('room that another processor keeps is found', (t) => {
  if (availableParallelism() < 2) {
    t.pass();
    return;
  }
  const image = buildImage((arena) => {
    const mask = (bits: number) => arena.bytes(Uint8Array.of(bits, 0, 0, 0, 0, 0, 0, 0));
    const [context, ready] = [arena.cell(), arena.cell()];
    const on = (bits: number) => call('sched_setaffinity', [0, 8, mask(bits)]);
    const advance = (count: number, unread: number, tail: number): Op => ({
      ...{ op: 'builtin', name: 'advance_ring', args: [context, ready, count, unread] },
      check: { kind: 'equal', expected: tail },
    });
    // What one processor has taken for itself, and got back with the events that were read, the other needs.
    return {
      programs: [
        main(
          call('io_setup', [300, context.cell]),
          call('eventfd2', [0, 0], { result: ready }),
          on(1),
          advance(20, 0, 20),
          on(2),
          call('sched_setaffinity', [0, 8, mask(3)]),
          advance(600, 600, 620),
        ),
      ],
    };
  });
  const { status, stderr } = run(image);
  t.is(stderr, '');
  t.is(status, 0);
});
