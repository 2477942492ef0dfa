import { closeSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type OpenFile, readImage } from '../../src/index.js';
import { openKernel } from '../../src/kernel/open.js';
import { addon } from '../../src/native/addon.js';
import { leaveOut, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip, untilWaiting } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

/** A test that needs io_uring, and leave to read how it is set up. */
function testRing(title: string, body: (t: ExecutionContext<unknown>) => Promise<void>): void {
  testWith(['python3', 'prlimit', 'setpriv'], title, async (t) => {
    const kernel = openKernel();
    const why = typeof kernel === 'string' ? kernel : hasRings() ? null : 'there is no io_uring';
    if (why === null) await body(t);
    else leaveOut(t, why);
  });
}

function hasRings(): boolean {
  try {
    closeSync(Number(addon.syscall(425, 1, new Uint8Array(120))));
    return true;
  } catch {
    return false;
  }
}

testRing(
  'io_urings come back, with what waits in them and what is registered, again and again',
  async (t) => {
    await roundTrip(t, { command: target('uring') });
    await roundTrip(t, { command: target('uring'), goesOn: false, generations: 3 });
    await roundTrip(t, { command: target('uring'), goesOn: false, freeze: ['--lazy'] });
  },
);

testRing('the kernel has them as it had them', async (t) => {
  const cwd = scratch(t);
  const [first, second] = [join(cwd, 'first'), join(cwd, 'second')];
  const original = start(t, target('uring'), [], { cwd });
  await original.ready();
  await freeze(original.pid, first, ['--kill'], { cwd });
  await original.ending();
  const thawed = start(t, first, [], { cwd });
  await freeze(await untilWaiting(thawed), second, ['--kill'], { cwd });
  await thawed.ending();
  const [was, is] = [await ringsIn(first), await ringsIn(second)];
  t.is(was.length, 11);
  t.deepEqual(is, was);
  const counters = was.map(({ ring }) => [ring.sqHead, ring.cqTail, ring.unread]);
  t.deepEqual(counters.slice(0, 2), [
    [1105, 1105, 3],
    [1004, 1004, 3],
  ]);
  t.deepEqual(counters[7], [1507, 1007, 0]);
  t.deepEqual(counters[8], [1008, 1110, 0]);
});

type Ring = Extract<OpenFile, { kind: 'uring' }>;

async function ringsIn(image: string): Promise<Ring[]> {
  const { snapshot } = await readImage(image);
  const { descriptors, threads } = snapshot.processes[0]!;
  return descriptors.files.flatMap((file) => {
    if (file.kind !== 'uring') return [];
    // Ids may be others.
    const number = (tid: number | null): number | null =>
      tid === null ? null : threads.findIndex((thread) => thread.tid === tid);
    const numbers = file.numbers.map(({ thread, slot }) => ({ thread: number(thread), slot }));
    return [{ ...file, numbers }];
  });
}

async function refused(t: ExecutionContext<unknown>, what: string, says: RegExp, ...options: string[]) {
  const cwd = scratch(t);
  const running = start(t, target('uring-busy'), [what], { cwd });
  await running.ready();
  const args = [String(running.pid), '-o', join(cwd, 'image'), ...options];
  const { code, stderr } = await proc2elf(args, { cwd });
  t.is(code, 1, what);
  t.regex(stderr, says, what);
  // Nothing of what is in flight has noticed.
  await running.goAndExpectOk();
}

testRing('what is in flight is refused, and stays as it was', async (t) => {
  for (const what of ['poll', 'timeout', 'accept', 'worker'])
    await refused(
      t,
      what,
      /^proc2elf: descriptor 5 \(io_uring, .*\) cannot be carried: 1 request is in flight; use --drop-fd 5, .*\n$/,
    );
  for (const what of ['linked', 'drained']) await refused(t, what, /: 2 requests are in flight;/);
  await refused(t, 'overflow', /: completions wait that did not fit into its ring;/);
});

testRing('a ring that a child has as well is refused', (t) =>
  refused(t, 'shared', /: another process shares it/, '--drop-children'),
);

testRing('threads of the kernel that wait for work are not in the way', (t) =>
  roundTrip(t, { command: target('uring-busy'), args: ['workers'] }),
);

/** Runs a program with system call 425, io_uring_setup(2), failing with EPERM. */
const WITHOUT = `import ctypes, os, struct, sys
code = struct.pack("=HBBIHBBIHBBIHBBI", 32, 0, 0, 0, 21, 0, 1, 425, 6, 0, 0, 0x50001, 6, 0, 0, 0x7fff0000)
memory = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", 4, ctypes.addressof(memory)))
assert ctypes.CDLL(None).prctl(22, 2, ctypes.byref(program)) == 0
os.execv(sys.argv[1], sys.argv[1:])`;

/** The image of a process with an io_uring, which has ended. */
async function frozenRing(t: ExecutionContext<unknown>): Promise<{ cwd: string; image: string }> {
  const cwd = scratch(t);
  const image = join(cwd, 'image');
  const original = start(t, target('uring-busy'), ['workers'], { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();
  return { cwd, image };
}

testRing('a machine that permits no io_uring does not thaw one', async (t) => {
  const { cwd, image } = await frozenRing(t);
  const says =
    /^image: cannot make an io_uring, which this machine may not permit \(kernel.io_uring_disabled\) \(descriptor 5, io_uring\): EPERM\b.*\n$/;
  const { code, stderr } = await run('python3', ['-c', WITHOUT, image], { cwd });
  t.is(code, 125);
  t.regex(stderr, says);
  const checked = await run('python3', ['-c', WITHOUT, image, '--check'], { cwd });
  t.not(checked.code, 0);
  t.regex(checked.stderr, /cannot make an io_uring/);
});

testRing(
  'a limit on the address space is refused by name, beforehand, where it cannot be raised',
  async (t) => {
    const { cwd, image } = await frozenRing(t);
    const limited = [
      '--bounding-set=-sys_resource',
      '--inh-caps=-sys_resource',
      'prlimit',
      '--as=4000000000',
    ];
    for (const options of [[], ['--check']]) {
      const { code, stderr } = await run('setpriv', [...limited, image, ...options], { cwd });
      t.is(code, 125);
      t.regex(
        stderr,
        /^image: cannot raise RLIMIT_AS to \d+: the hard limit here is lower, and an io_uring .*\n$/,
      );
    }
    const soft = start(t, 'prlimit', ['--as=4000000000:', image], { cwd });
    await soft.goAndExpectOk();
  },
);

/** Makes a ring in memory of its own; `go` lets it say that all is as it was. */
const IN_OWN_MEMORY = `import ctypes, mmap, os, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
NO_MMAP, REGISTERED_ONLY, NO_SQARRAY = 1 << 14, 1 << 15, 1 << 16
rings, entries = [mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(2)]
rings[0] = entries[0] = 0
def setup(flags):
    params = bytearray(120)
    struct.pack_into("I", params, 8, flags | NO_MMAP | NO_SQARRAY)
    struct.pack_into("Q", params, 72, ctypes.addressof(ctypes.c_char.from_buffer(entries)))
    struct.pack_into("Q", params, 112, ctypes.addressof(ctypes.c_char.from_buffer(rings)))
    fd = libc.syscall(425, 4, ctypes.c_char_p(ctypes.addressof(ctypes.c_char.from_buffer(params))))
    assert fd >= 0, ctypes.get_errno()
    return fd, params
def wait(check=lambda: True):
    print("ready", flush=True)
    sys.stdin.readline()
    print("ok" if check() else "failed")
`;
const UNSEEN: Readonly<Record<string, readonly [code: string, says: RegExp]>> = {
  'a ring that has a number of a thread alone': [
    `number, params = setup(REGISTERED_ONLY)
wait(lambda: libc.syscall(426, number, 0, 0, 1 << 4, 0, 0) == 0)`,
    /^proc2elf: thread \d+ has an io_uring under its number 0 \(IORING_REGISTER_RING_FDS, .* no descriptor leads .*\n$/,
  ],
  'requests in a ring that only a child has still': [
    `fd, params = setup(0)
reader, writer = os.pipe()
struct.pack_into("=BBHiQQIIQ", entries, 0, 6, 0, 0, reader, 0, 0, 0, 1, 7)
struct.pack_into("I", rings, struct.unpack_from("I", params, 44)[0], 1)
assert libc.syscall(426, fd, 1, 0, 0, 0, 0) == 1
child = os.fork()
if child == 0:
    for end in (reader, writer): os.close(end)
    signal.pause()
os.close(fd)
def told():
    os.write(writer, b"x")
    tail = struct.unpack_from("I", params, 84)[0]
    while struct.unpack_from("I", rings, tail)[0] == 0: pass
    os.kill(child, 9); os.wait()
    return True
wait(told)`,
    /^proc2elf: requests are in flight in an io_uring that is not carried\n$/,
  ],
};

for (const [what, [code, says]] of Object.entries(UNSEEN)) {
  testRing(`${what} is noticed, and refused`, async (t) => {
    const cwd = scratch(t);
    const running = start(t, 'python3', ['-S', '-c', IN_OWN_MEMORY + code], { cwd });
    await running.ready();
    const args = [String(running.pid), '-o', join(cwd, 'image'), '--drop-children'];
    const { code: status, stderr } = await proc2elf(args, { cwd });
    t.is(status, 1);
    t.regex(stderr, says);
    await running.goAndExpectOk();
  });
}
