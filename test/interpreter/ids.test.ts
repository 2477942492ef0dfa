import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import test from 'ava';
import type { Arena } from '../../src/thaw/arena.js';
import { Flag, type ImageOption, type Op } from '../../src/thaw/program.js';
import { testAsRoot } from '../e2e/harness/needs.js';
import { buildImage, place } from './support/image.js';
import { call, dump, exit, main, say } from './support/ops.js';
import { killAll, nameOf, run, start, stateOf, until } from './support/run.js';

test.after.always(killAll);

const SIGCHLD = 17;
const SIG_IGN = 1n;
const OPTIONS: ImageOption[] = [
  { name: '--pid=same', set: Flag.PID_SAME },
  { name: '--pid=new', set: Flag.PID_NEW },
];

/** An image that takes process id `wanted`, then does `more`. */
function becomes(
  wanted: number,
  more: (arena: Arena) => Op[],
  before: (arena: Arena) => Op[] = () => [],
): string {
  return buildImage((arena) => {
    const refusal = arena.cell();
    const label = `cannot take process id ${wanted}`;
    return {
      programs: [
        main(
          ...before(arena),
          { op: 'builtin', name: 'become', args: [wanted, refusal.cell], label },
          { op: 'builtin', name: 'say_ids', args: [wanted, refusal] },
          ...more(arena),
        ),
      ],
      options: OPTIONS,
    };
  });
}

/** Prints the process id, and whether ids are new. */
function sayPid(arena: Arena): Op[] {
  const pid = arena.cell();
  return [
    call('getpid', [], { result: pid }),
    dump(pid.cell, 8),
    say(arena, 'new', { when: Flag.NEW_IDS }),
    say(arena, 'old', { unless: Flag.NEW_IDS }),
  ];
}

/** An id that nobody has: the highest but some. */
let next = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8')) - 1000 - (process.pid % 500) * 4;
function freeId(): number {
  do next--;
  while (stateOf(next) !== '?');
  return next;
}

/** Gives an unblocked signal mask and waits for signals. */
function waits(arena: Arena): Op[] {
  return [
    call('rt_sigprocmask', [2, arena.bytes(Buffer.alloc(8)), 0, 8]),
    say(arena, 'waiting\n'),
    { op: 'mark', name: 'again' },
    call('ppoll', [0, 0, 0, 0, 0], { check: { kind: 'ok', tolerated: ['EINTR'], jump: 'again' } }),
    { op: 'jump', to: 'again' },
  ];
}

testAsRoot('a free process id is taken', (t) => {
  const wanted = freeId();
  const { stdout, stderr, status } = run(becomes(wanted, sayPid));
  t.is(stderr, '');
  t.is(status, 0);
  t.is(stdout.readBigInt64LE(), BigInt(wanted));
  t.is(stdout.toString('latin1', 8), 'old');
});

testAsRoot('an id that is given back is waited for', async (t) => {
  // The number stays the name of the session for as long as a process is in that, here one in a group of its own.
  const session = start('/usr/bin/python3', [
    '-c',
    `
import ctypes, os, signal
ctypes.CDLL(None).prctl(36, 1) # PR_SET_CHILD_SUBREAPER: whoever else would reap the member may take its time
r, w = os.pipe()
leader = os.fork()
if leader == 0:
    os.setsid()
    if os.fork() == 0:
        os.setpgid(0, 0); os.close(r); os.write(w, b"x"); signal.pause()
    os._exit(0)
os.close(w)
os.read(r, 1)
os.waitpid(leader, 0)
print(leader, flush=True)
os.wait()
`,
  ]);
  await session.sees('\n');
  const wanted = Number(session.output());
  const [member] = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && sessionOf(name) === wanted);
  const image = start(becomes(wanted, sayPid, (arena) => [say(arena, 'asks')]));
  await image.sees('asks');
  process.kill(Number(member), 'SIGKILL');
  await image.ended;
  t.is(image.errors(), '');
  t.regex(image.output(), /old$/);
});

/** The session of a process; `null` where it is gone. */
function sessionOf(pid: string): number | null {
  try {
    return Number(/.*\) (?:\S+ ){3}(\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))![1]);
  } catch {
    return null;
  }
}

test('an id that is taken is left, and one line says so', (t) => {
  const image = becomes(process.pid, sayPid);
  const { stdout, stderr, status } = run(image);
  t.is(status, 0);
  t.is(stdout.toString('latin1', 8), 'new');
  const reason = process.getuid!() === 0 ? 'is taken' : 'is not permitted \\(EPERM\\)';
  t.regex(
    stderr,
    new RegExp(
      `^${nameOf(image)}: process id ${process.pid} ${reason}: running as ${stdout.readBigInt64LE()}\n$`,
    ),
  );
});

test('--pid=same: an id that is taken is an error', (t) => {
  const image = becomes(process.pid, sayPid);
  const { stderr, status } = run(image, ['--pid=same']);
  t.is(status, 125);
  t.regex(stderr, new RegExp(`^${nameOf(image)}: cannot take process id ${process.pid}: (EEXIST|EPERM)\n$`));
});

test('--pid=new does not try', (t) => {
  const wanted = freeId();
  const { stdout, stderr } = run(becomes(wanted, sayPid), ['--pid=new']);
  t.is(stderr, '');
  t.not(stdout.readBigInt64LE(), BigInt(wanted));
  t.is(stdout.toString('latin1', 8), 'new');
});

testAsRoot('an ordinary user is told that the id is not permitted', (t) => {
  const image = becomes(freeId(), sayPid);
  spawnSync('chmod', ['-R', 'a+rx', image, `${image}/..`]);
  const { stdout, stderr } = run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', image]);
  t.is(stdout.toString('latin1', 8), 'new');
  t.regex(stderr, /: process id \d+ is not permitted \(EPERM\): running as \d+\n$/);
});

testAsRoot('the exit status is passed on', (t) => {
  t.is(run(becomes(freeId(), () => [exit(42)])).status, 42);
});

testAsRoot('death by a signal is passed on', (t) => {
  for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGTERM'] as const) {
    const ended = run(
      becomes(freeId(), (arena) => {
        const pid = arena.cell();
        return [
          call('rt_sigprocmask', [2, arena.bytes(Buffer.alloc(8)), 0, 8]),
          call('getpid', [], { result: pid }),
          call('kill', [pid, constants.signals[signal]]),
          call('ppoll', [0, 0, 0, 0, 0]),
        ];
      }),
    );
    t.is(ended.signal, signal);
    t.is(ended.status, null);
  }
});

testAsRoot('a supervisor that was started with SIGCHLD ignored ends with its child', (t) => {
  const ignore = (arena: Arena): Op[] => {
    const action = Buffer.from(new BigUint64Array([SIG_IGN, 0n, 0n, 0n]).buffer);
    return [call('rt_sigaction', [SIGCHLD, arena.bytes(action), 0, 8])];
  };
  t.is(run(becomes(freeId(), () => [exit(7)], ignore)).status, 7);
});

testAsRoot('signals are passed on, and the supervisor dies as its child does', async (t) => {
  const image = start(becomes(freeId(), waits));
  await image.sees('waiting');
  image.kill('SIGTERM');
  t.deepEqual(await image.ended, { status: null, signal: 'SIGTERM' });
});

testAsRoot('a queued signal keeps its value', async (t) => {
  const wanted = freeId();
  const image = start(
    becomes(wanted, (arena) => {
      const info = arena.reserve(128);
      const mask = arena.bytes(Buffer.from(new BigUint64Array([1n << 39n]).buffer));
      return [
        say(arena, 'waiting\n'),
        call('rt_sigtimedwait', [mask, info, 0, 8], { check: { kind: 'equal', expected: 40 } }),
        dump(info, 32),
      ];
    }),
  );
  await image.sees('waiting\n');
  spawnSync('python3', [
    '-c',
    `import ctypes,sys; ctypes.CDLL(None).sigqueue(${image.pid}, 40, ctypes.c_void_p(0x1234))`,
  ]);
  await image.ended;
  const info = Buffer.from(image.output().slice('waiting\n'.length), 'latin1');
  t.is(info.readInt32LE(0), 40);
  t.is(info.readInt32LE(8), -1);
  t.is(info.readBigInt64LE(24), 0x1234n);
});

// The kernel stops nobody so whose process group has no parent in the session outside of it.
const AS_JOB = 'import os, sys; os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])';

testAsRoot('the supervisor stops and goes on with its child', async (t) => {
  const wanted = freeId();
  const image = start('python3', ['-c', AS_JOB, becomes(wanted, waits)]);
  await image.sees('waiting');
  for (const stop of ['SIGTSTP', 'SIGTTIN'] as const) {
    process.kill(wanted, stop);
    await until(() => stateOf(image.pid) === 'T' && stateOf(wanted) === 'T', 'both to stop');
    image.kill('SIGCONT');
    await until(() => stateOf(image.pid) === 'S' && stateOf(wanted) === 'S', 'both to go on');
  }
  process.kill(wanted, 'SIGKILL');
  t.is((await image.ended).signal, 'SIGKILL');
});

testAsRoot('what is stopped alone is continued alone', async (t) => {
  const wanted = freeId();
  const image = start(becomes(wanted, waits));
  await image.sees('waiting');
  process.kill(wanted, 'SIGSTOP');
  await until(() => stateOf(wanted) === 'T', 'the child to stop');
  process.kill(wanted, 'SIGCONT');
  await until(() => stateOf(wanted) === 'S', 'the child to go on');
  // As a program does that stops itself when its job is asked to.
  process.kill(wanted, 'SIGSTOP');
  await until(() => stateOf(wanted) === 'T', 'the child to stop again');
  t.is(stateOf(image.pid), 'S');
  image.kill('SIGTSTP');
  await until(() => stateOf(image.pid) === 'T', 'the supervisor to stop');
  image.kill('SIGCONT');
  await until(() => stateOf(image.pid) === 'S', 'the supervisor to go on');
  image.kill('SIGTERM');
  t.is((await image.ended).signal, 'SIGTERM');
});

testAsRoot('the supervisor holds no descriptor', async (t) => {
  const image = start(
    becomes(freeId(), (arena) => [
      call('close', [1]),
      call('close', [2]),
      ...waits(arena).filter((op) => !('name' in op && op.name === 'write')),
    ]),
  );
  // Both ends of the pipes to us are closed while the process lives.
  await until(() => image.closed(), 'the end of its output');
  t.is(stateOf(image.pid), 'S');
  image.kill('SIGTERM');
  await image.ended;
});

function spawning(tids: readonly number[], thread: (arena: Arena) => Op[] = () => []): string {
  return buildImage((arena) => {
    const cells = tids.map(() => arena.cell());
    const barrier = arena.reserve(8);
    const meet: Op = { op: 'barrier', address: barrier, parties: tids.length + 1 };
    const own = arena.cell();
    return {
      programs: [
        main(
          ...tids.map(
            (tid, i): Op => ({
              op: 'spawn',
              program: 1,
              tid,
              stackTop: place.threadStack(i),
              result: cells[i]!,
              label: `cannot start thread ${tid}`,
            }),
          ),
          meet,
          ...cells.map((cell) => dump(cell.cell, 8)),
          say(arena, 'new', { when: Flag.NEW_IDS }),
          say(arena, 'old', { unless: Flag.NEW_IDS }),
        ),
        { name: 'thread', ops: [call('gettid', [], { result: own }), ...thread(arena), meet] },
      ],
      options: OPTIONS,
    };
  });
}

testAsRoot('threads get the ids that they had', (t) => {
  const tids = [freeId(), freeId(), freeId()];
  const { stdout, stderr } = run(spawning(tids));
  t.is(stderr, '');
  t.deepEqual(
    tids.map((_, i) => stdout.readBigInt64LE(i * 8)),
    tids.map(BigInt),
  );
  t.is(stdout.toString('latin1', 24), 'old');
});

test('a thread id that is taken gives new ids, and one line says so', (t) => {
  const image = spawning([process.pid, freeId()]);
  const { stdout, stderr, status } = run(image);
  t.is(status, 0);
  t.is(stdout.toString('latin1', 16), 'new');
  t.regex(
    stderr,
    new RegExp(`^${nameOf(image)}: thread id ${process.pid} is [^\n]*: threads run under new ids\n$`),
  );
});

test('--pid=same: a thread id that is taken is an error', (t) => {
  const image = spawning([process.pid]);
  const { status, stderr } = run(image, ['--pid=same']);
  t.is(status, 125);
  t.regex(stderr, new RegExp(`^${nameOf(image)}: cannot start thread ${process.pid}: (EEXIST|EPERM)\n$`));
});

test('without a wanted id any will do', (t) => {
  const { stdout, stderr } = run(spawning([0, 0]));
  t.is(stderr, '');
  t.is(stdout.toString('latin1', 16), 'old');
});

test('an error in a thread ends the whole process', (t) => {
  const image = spawning([0], () => [call('close', [77], { label: 'a thread cannot' })]);
  const { status, stderr } = run(image);
  t.is(status, 125);
  t.is(stderr, `${nameOf(image)}: a thread cannot: EBADF\n`);
});

const OLD_TID = 0x7fff_0000;

/** What FIX_TID makes of some memory; `fsBase` and the word may lie anywhere. */
function fixes(make: (arena: Arena) => { word: bigint; fsBase: bigint; shown: bigint }): Buffer {
  const image = buildImage((arena) => {
    const { word, fsBase, shown } = make(arena);
    const tid = arena.cell();
    return {
      programs: [
        main(
          { op: 'builtin', name: 'fix_tid', args: [word, OLD_TID, fsBase] },
          call('gettid', [], { result: tid }),
          dump(tid.cell, 8),
          ...(shown === 0n ? [] : [dump(shown, 8)]),
        ),
      ],
    };
  });
  return run(image).stdout;
}

const tidBytes = (first: number, second: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(first, 0);
  bytes.writeUInt32LE(second, 4);
  return bytes;
};

test('FIX_TID corrects the word at the tid address, if it holds the old id', (t) => {
  const found = fixes((arena) => {
    const word = arena.bytes(tidBytes(OLD_TID, OLD_TID));
    return { word, fsBase: 0n, shown: word };
  });
  t.is(found.readUInt32LE(8), found.readUInt32LE(0));
  t.is(found.readUInt32LE(12), OLD_TID);
  const other = fixes((arena) => {
    const word = arena.bytes(tidBytes(99, OLD_TID));
    return { word, fsBase: 0n, shown: word };
  });
  t.is(other.readUInt32LE(8), 99);
});

test("FIX_TID corrects musl's struct pthread", (t) => {
  const found = fixes((arena) => {
    const base = arena.reserve(0, 8);
    const thread = Buffer.alloc(64);
    thread.writeBigUInt64LE(base, 0);
    thread.writeUInt32LE(OLD_TID, 48);
    arena.bytes(thread);
    return { word: 0n, fsBase: base, shown: base + 48n };
  });
  t.is(found.readUInt32LE(8), found.readUInt32LE(0));
});

test('FIX_TID leaves alone what is not mapped', (t) => {
  for (const address of [0x10n, 0x7fff_ffff_effcn, 2n ** 63n, 2n ** 64n - 4n]) {
    t.is(fixes(() => ({ word: address, fsBase: address, shown: 0n })).length, 8);
  }
});
