import test from 'ava';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

test('a trigger for pressure is refused by name, and stays as it is', async (t) => {
  const target = await startTarget(
    t,
    `
f = at(os.open("/proc/pressure/memory", os.O_RDWR | os.O_NONBLOCK), 10); os.write(f, b"some 1990000 2000000\\0")
at(os.open("/proc/pressure/cpu", os.O_RDWR), 11)
at(os.open("/proc/pressure/memory", os.O_RDONLY), 12)
`,
  );
  for (let looks = 0; looks < 2; looks++) {
    const { problems } = capture(target);
    t.deepEqual(problems, [
      'descriptor 10 (pressure, /proc/pressure/memory) cannot be carried: the process waits for pressure by a trigger, of which the kernel does not tell; use --drop-fd 10, --external 10, or --fd 10=PATH',
    ]);
  }
});

test('a file of pressure without a trigger is opened again', async (t) => {
  const { before, after } = await roundTrip(
    t,
    'at(os.open("/proc/pressure/memory", os.O_RDWR | os.O_NONBLOCK), 10); os.read(10, 5)',
  );
  t.deepEqual(after.table, before.table);
});
