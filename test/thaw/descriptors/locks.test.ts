import { join } from 'node:path';
import test from 'ava';
import { openKernel } from '../../../src/kernel/open.js';
import { leaveOut } from '../../e2e/harness/needs.js';
import { fileOf } from '../../proc/descriptors/support.js';
import { refusal, roundTrip } from './support.js';

test('locks, on 0, 1 and 2 too', async (t) => {
  const code = `
a = at(os.open("db", os.O_RDWR | os.O_CREAT), 10)
fcntl.lockf(a, fcntl.LOCK_EX, 10, 5)
fcntl.lockf(a, fcntl.LOCK_SH, 0, 100)
b = at(os.open("lock", os.O_RDWR | os.O_CREAT), 11)
fcntl.flock(b, fcntl.LOCK_EX)
c = os.open("low", os.O_RDWR | os.O_CREAT)
os.dup2(c, 0); os.close(c)
fcntl.lockf(0, fcntl.LOCK_EX)
`;
  const { before, after, target, planned } = await roundTrip(t, code);
  t.deepEqual(after.table, before.table);
  // The process made now holds them: another one cannot.
  const text = await refusal(t, planned);
  t.true(
    text.startsWith(`cannot take the lock on ${join(target.folder, 'db')} (descriptor 10, file): `),
    text,
  );
  t.regex(
    await refusal(t, planned, 2),
    /(db \(descriptor 10, file\)|low \(descriptor 0, file\)): another process holds a lock on it/,
  );
});

test('record locks outlive the number that a lease is asked for by, which is closed', async (t) => {
  const kernel = openKernel();
  if (typeof kernel === 'string') return leaveOut(t, kernel);
  const { before, after } = await roundTrip(
    t,
    `
open("db", "w").close()
f = at(os.open("db", os.O_RDONLY), 10); os.dup2(f, 12); os.dup2(f, 41)
fcntl.fcntl(41, 10, 51); fcntl.fcntl(41, 1024, fcntl.F_RDLCK); os.close(41)
at(os.open("db", os.O_RDONLY), 11); fcntl.lockf(11, fcntl.LOCK_SH, 10, 5)
`,
  );
  t.deepEqual(after.table, before.table);
  t.like(fileOf(before, 10), { lease: 'read', signals: { number: 41 } });
  const locks = before.table.files.flatMap((file) => file.locks);
  t.deepEqual(locks, [{ type: 'posix', write: false, first: 5n, last: 14n }]);
});
