import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

const newIds = { thaw: ['--pid=new'], stderr: /^([^\n]+\n)?$/ };

testWith([], 'registers up to AVX come back', (t) =>
  roundTrip(t, { command: target('registers'), args: ['avx'] }),
);

testWith([], 'AVX-512 registers come back', (t) =>
  roundTrip(t, { command: target('registers'), args: ['avx512'] }),
);

testWith([], 'a thousand threads come back', (t) => roundTrip(t, { command: target('threads') }));

testWith([], 'threads live on under new ids', (t) =>
  roundTrip(t, { command: target('threads'), args: ['20', 'new-ids'], ...newIds }),
);

testWith([], 'a critical section begins anew', (t) => roundTrip(t, { command: target('sequence') }));

testWith([], 'locks stay held, waits stay in flight', (t) => roundTrip(t, { command: target('locks') }));

testWith([], 'blocked calls go on for the time left, without an error', (t) =>
  roundTrip(t, { command: target('blocked') }),
);

testWith([], 'blocked calls that an earlier freeze has interrupted go on, too', async (t) => {
  const cwd = scratch(t);
  const original = start(t, target('blocked'), ['0'], { cwd });
  await original.ready();
  // From now on the kernel shows restart_syscall(2) instead of what the sleeping threads have called.
  for (let i = 0; i < 2; i++) await freeze(original.pid, join(cwd, 'first.bin'), [], { cwd });
  await freeze(original.pid, join(cwd, 'frozen.bin'), ['--kill'], { cwd });
  await original.end();
  await t.notThrowsAsync(start(t, join(cwd, 'frozen.bin'), [], { cwd }).goAndExpectOk());
});

testWith([target('exceptions')], 'C++ exceptions in flight are caught', (t) =>
  roundTrip(t, { command: target('exceptions') }),
);
