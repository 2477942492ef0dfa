import test from 'ava';
import { startTracer } from '../../src/native/tracer.js';
import { CLOBBER, plant } from './inject.js';
import { compile, gadget, read, sleep, start } from './targets.js';

const DURATION = 1500;
const HOLD = 400;
/** The machine may be busy. */
const SLACK = 1000;

/** [result, errno] of each call, and until when: their timeout, or the end of the test. */
const expected: Record<string, [number, number]> = {
  nanosleep: [0, 0],
  clock_nanosleep: [0, 0],
  poll: [0, 0],
  select: [0, 0],
  ppoll: [0, 0],
  epoll_wait: [0, 0],
  epoll_pwait: [0, 0],
  futex_timed: [-1, 110],
  futex: [0, 0],
  semtimedop: [-1, 11],
  semop: [0, 0],
  msgrcv: [1, 0],
  sigtimedwait: [-1, 11],
  recv_timed: [-1, 11],
  pause: [-1, 4], // ended by a handler
  sigsuspend: [-1, 4],
  read: [1, 0],
  read_eventfd: [8, 0],
  read_inotify: [1, 0],
  wait4: [1, 0],
  accept: [1, 0],
};
/** Calls that the kernel cannot continue for the time that was left: their timeout starts anew. */
const repeated = new Set(['epoll_wait', 'epoll_pwait', 'semtimedop', 'sigtimedwait', 'recv_timed']);

const program = compile('blocked');

for (const inject of [false, true]) {
  test(`blocked calls go on after a hold${inject ? ' with injection into every thread' : ''}`, async (t) => {
    const target = start(program, String(DURATION));
    t.is(await target.line(), 'ready');
    const maps = read(`/proc/${target.pid}/maps`);
    await sleep(300);

    const tracer = startTracer();
    const tids = tracer.seize(target.pid);
    t.is(tids[0], target.pid);
    t.is(tids.length, 1 + Object.keys(expected).length);
    if (inject) {
      const at = gadget(target.pid);
      for (const tid of tids) {
        t.is(tracer.syscall(tid, at, 39, []), BigInt(target.pid)); // getpid
        const code = plant(tracer, target.pid, tid, at, CLOBBER);
        tracer.run(tid, code, code + 65536n, 0n);
        t.is(tracer.syscall(tid, at, 11, [code, 65536n]), 0n); // munmap
      }
    }
    await sleep(HOLD);
    tracer.release('run');
    tracer.close();
    t.is(read(`/proc/${target.pid}/maps`), maps);

    const lines = await target.rest();
    t.is(lines.length, Object.keys(expected).length, lines.join('\n'));
    for (const line of lines) {
      const [name, result, errno, elapsed] = line.split(' ') as [string, string, string, string];
      t.deepEqual([Number(result), Number(errno)], expected[name], line);
      t.true(Number(elapsed) >= DURATION - 100, line);
      t.true(Number(elapsed) < DURATION + SLACK + (repeated.has(name) ? 300 + HOLD : 0), line);
    }
  });
}
