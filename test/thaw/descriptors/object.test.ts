import test from 'ava';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

test('objects, with their content, seals and modes', async (t) => {
  const { before, after, planned, again } = await roundTrip(
    t,
    `
a = at(os.open("gone", os.O_RDWR | os.O_CREAT, 0o400), 10)
os.write(a, b"was here")
at(os.open("gone", os.O_RDONLY | os.O_APPEND), 11)
os.unlink("gone")
os.utime(a, ns=(-5, 1234567890123456789))
m = at(os.memfd_create("thing", os.MFD_ALLOW_SEALING), 13)
os.ftruncate(m, 5 << 20)
os.pwrite(m, b"x", 1 << 20); os.pwrite(m, b"y", 3 << 20)
fcntl.fcntl(m, 1033, 15)
`,
  );
  t.deepEqual(after.table, before.table);
  t.deepEqual(again.content, planned.content);
  const kept = ({ objects }: typeof before.objects) =>
    objects.map(({ size, mode, seals, owner, times }) => ({ size, mode, seals, owner, times }));
  t.deepEqual(kept(after.objects), kept(before.objects));
  t.deepEqual(kept(before.objects)[0]!.times, { accessed: -5n, modified: 1234567890123456789n });
});

test('names of memory in any bytes', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
m = ctypes.CDLL(None).memfd_create(b"odd \\xff\\xfe name", 0); at(m, 10); os.write(10, b"content")
f = os.open(b"gone \\xff", os.O_RDWR | os.O_CREAT); os.write(f, b"too"); os.unlink(b"gone \\xff"); at(f, 11)
`,
  );
  t.deepEqual(after.table, before.table);
  const [first, second] = before.objects.objects;
  t.is(first!.name, 'odd \udcff\udcfe name');
  t.true(second!.name.endsWith('/gone \udcff'));
  t.is(after.objects.objects[0]!.name, first!.name);
});

test('extended attributes of what loses its file are named', async (t) => {
  const target = await startTarget(
    t,
    `
a = at(os.open("/dev/shm/%d" % os.getpid(), os.O_RDWR | os.O_CREAT), 10)
os.setxattr(10, "trusted.note" if os.getuid() == 0 else "user.note", b"1")
os.unlink("/dev/shm/%d" % os.getpid())
`,
  );
  const { warnings } = capture(target);
  t.is(warnings.length, 1);
  t.regex(
    warnings[0]!,
    /^descriptor 10 \(.*\): its extended attributes stay behind \((trusted|user)\.note\)$/,
  );
});
