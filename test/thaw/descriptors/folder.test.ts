import test from 'ava';
import { fileOf } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

test('a deleted directory comes back without a name, once for all that mean it', async (t) => {
  const { before, after } = await roundTrip(
    t,
    `
os.mkdir("gone", 0o700)
at(os.open("gone", os.O_RDONLY), 10)
at(os.open("gone", os.O_PATH), 11)
os.chmod("gone", 0o1510); os.utime("gone", ns=(1, -2))
os.rmdir("gone")
`,
  );
  const [folder, ...others] = before.table.folders;
  t.deepEqual(others, []);
  t.like(folder, { mode: 0o1510, times: { accessed: 1n, modified: -2n } });
  t.is(after.table.folders.length, 1);
  t.like(after.table.folders[0], { mode: 0o1510, owner: folder!.owner, times: folder!.times });
  for (const fd of [10, 11]) t.deepEqual(fileOf(after, fd), fileOf(before, fd));
});
