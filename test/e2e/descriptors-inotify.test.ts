import { chownSync } from 'node:fs';
import { leaveOut, testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { asUser, nobody, roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

testWith([], 'watches of files come back with their numbers', (t) =>
  roundTrip(t, { command: target('watches'), goesOn: false }),
);

testWith(['/usr/bin/python3'], 'events of files that were not read come back', (t) =>
  roundTrip(t, { command: '/usr/bin/python3', args: [script('scripts/events.py')], goesOn: false }),
);

testWith(
  ['setpriv', '/usr/bin/python3'],
  'who may not see events that were not read is told so',
  async (t) => {
    const cwd = scratch(t);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(cwd, nobody, nobody);
    const as = isRoot ? asUser(nobody) : [];
    const launch = { cwd };
    const code =
      'import ctypes; libc = ctypes.CDLL(None); libc.inotify_add_watch(libc.inotify_init1(0), b".", 0x100); open("file", "w"); print("ready", flush=True); input(); print("ok")';
    const [command, ...args] = [...as, '/usr/bin/python3', '-c', code];
    const watching = start(t, command!, args, launch);
    await watching.ready();
    const { code: status, stderr } = await proc2elf([String(watching.pid), '-o', 'frozen.bin'], launch, as);
    t.is(status, 1);
    t.regex(stderr, /descriptor \d+ \(inotify, .*\d+ bytes of events in it were not read yet.*CAP_BPF/);
    await watching.goAndExpectOk();
  },
);

testWith(
  ['setpriv', '/usr/bin/python3'],
  'events that cannot be put back are a refusal, and can be left out',
  async (t) => {
    if (process.getuid?.() !== 0) return leaveOut(t, 'only root can do this');
    const cwd = scratch(t);
    const original = start(t, '/usr/bin/python3', [script('scripts/events.py')], { cwd });
    await original.ready();
    await freeze(original.pid, 'frozen.bin', ['--kill'], { cwd });
    await original.ending();
    const drop = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
    for (const option of ['--check', '--pid=new']) {
      const [command, ...args] = [...drop, './frozen.bin', option];
      const { code, stderr } = await run(command!, args, { cwd });
      t.is(code, 125, option);
      t.regex(
        stderr,
        /^frozen.bin: cannot put back the events that were not read \(descriptor 4, inotify\), .*CAP_SYS_ADMIN.*--events=drop.*EPERM$/m,
        option,
      );
    }
    const [command, ...args] = [...drop, './frozen.bin', '--events=drop', '--pid=new'];
    const thawed = start(t, command!, args, { cwd });
    thawed.send('go\n');
    t.is(await thawed.line(), 'not ready');
  },
);
