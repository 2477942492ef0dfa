import { spawnSync } from 'node:child_process';
import test from 'ava';
import type { Arena } from '../../src/thaw/arena.js';
import { Flag, type Op } from '../../src/thaw/program.js';
import { testAsRoot } from '../e2e/harness/needs.js';
import { buildImage } from './support/image.js';
import { call, dump, main, refuse, say } from './support/ops.js';
import { nameOf, run } from './support/run.js';

const SECOND = 1_000_000_000n;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;

const now = (): bigint => process.hrtime.bigint();

/** An image frozen at these times; prints the clocks as they are after the thaw, and `own` or `host`. */
function makeImage(monotonic: bigint, boottime: bigint): string {
  return buildImage((arena) => {
    const times = arena.reserve(32);
    return {
      programs: [
        main(
          { op: 'builtin', name: 'time_namespace', args: [monotonic, boottime] },
          { op: 'builtin', name: 'become', args: [1, arena.cell().cell], when: Flag.PID_NEW },
          call('clock_gettime', [CLOCK_MONOTONIC, times]),
          call('clock_gettime', [CLOCK_BOOTTIME, times + 16n]),
          dump(times, 32),
          say(arena, 'own', { when: Flag.TIME_NAMESPACE }),
          say(arena, 'host', { unless: Flag.TIME_NAMESPACE }),
        ),
      ],
      flags: Flag.PID_NEW,
    };
  });
}

function decode(stdout: Buffer): { monotonic: bigint; boottime: bigint; which: string } {
  const time = (at: number): bigint => stdout.readBigInt64LE(at) * SECOND + stdout.readBigInt64LE(at + 8);
  return { monotonic: time(0), boottime: time(16), which: stdout.toString('latin1', 32) };
}

test('clocks that are ahead of the frozen ones stay as they are', (t) => {
  const begin = now();
  const { stdout, stderr } = run(makeImage(begin - SECOND, 5n));
  t.is(stderr, '');
  const { monotonic, which } = decode(stdout);
  t.is(which, 'host');
  t.true(monotonic >= begin && monotonic < begin + 10n * SECOND);
});

testAsRoot('a monotonic clock that is behind goes on from the frozen one', (t) => {
  const frozen = now() + 5000n * SECOND + 123n;
  const { stdout, stderr } = run(makeImage(frozen, 5n));
  t.is(stderr, '');
  const { monotonic, which } = decode(stdout);
  t.is(which, 'own');
  t.true(monotonic >= frozen && monotonic < frozen + 10n * SECOND);
});

testAsRoot('the boot-time clock alone may be behind', (t) => {
  const begin = now();
  const frozen = begin + 777n * SECOND;
  const { monotonic, boottime, which } = decode(run(makeImage(5n, frozen)).stdout);
  t.is(which, 'own');
  t.true(boottime >= frozen && boottime < frozen + 60n * SECOND);
  t.true(monotonic >= begin && monotonic < begin + 10n * SECOND);
});

testAsRoot('without the privilege one line warns of what will wait', (t) => {
  const image = makeImage(now() + 5000n * SECOND, 5n);
  spawnSync('chmod', ['a+rx', image, `${image}/..`]);
  const { stdout, stderr, status } = run('setpriv', [
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    image,
  ]);
  t.is(status, 0);
  t.is(decode(stdout).which, 'host');
  t.regex(
    stderr,
    new RegExp(
      `^${nameOf(image)}: the monotonic clock is behind the frozen one by (499\\d|500\\d) s: timers and deadlines may wait that long \\(EPERM\\)\n$`,
    ),
  );
});

const PRCTL = 157;
const SIGEV_NONE = 1;

function timers(ids: readonly number[], first: (arena: Arena) => Op[] = () => []): string {
  return buildImage((arena) => {
    const event = Buffer.alloc(64);
    event.writeInt32LE(SIGEV_NONE, 12);
    const address = arena.bytes(event);
    const left = arena.reserve(32);
    return {
      programs: [
        main(
          ...first(arena),
          ...ids.map(
            (id): Op => ({
              op: 'builtin',
              name: 'timer_create',
              args: [CLOCK_MONOTONIC, address, id],
              label: `cannot create timer ${id}`,
            }),
          ),
          ...ids.map((id) => call('timer_gettime', [id, left], { label: `there is no timer ${id}` })),
        ),
      ],
    };
  });
}

test('timers get their ids', (t) => {
  const { status, stderr } = run(timers([0, 3, 4, 3000]));
  t.is(stderr, '');
  t.is(status, 0);
});

test('timers get their ids on a kernel where one cannot ask for them', (t) => {
  const { status, stderr } = run(timers([0, 3, 4, 3000], (arena) => refuse(arena, PRCTL)));
  t.is(stderr, '');
  t.is(status, 0);
});

test('an id that is taken is an error', (t) => {
  const image = timers([3, 3]);
  t.regex(run(image).stderr, /: cannot create timer 3: (EBUSY|EEXIST|EAGAIN)\n$/);
  const passed = timers([3, 2], (arena) => refuse(arena, PRCTL));
  t.regex(run(passed).stderr, /: cannot create timer 2: EEXIST\n$/);
});
