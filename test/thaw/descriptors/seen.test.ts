/** Files of /sys and of control groups: what was read tells of no change by poll(2) in the image either. */
import { once } from 'node:events';
import type { OpenFileOf } from '../../../src/snapshot/descriptors.js';
import { testWith } from '../../e2e/harness/needs.js';
import { capture, startTarget } from '../../proc/descriptors/support.js';
import { restore, roundTrip, withContent } from './support.js';

const OPERSTATE = '/sys/class/net/lo/operstate';

/** What the process had seen of which descriptors; one that has not seen its file is told of a change. */
function seenBy({ table }: { table: ReturnType<typeof capture>['table'] }): Record<number, string | null> {
  return Object.fromEntries(
    table.descriptors
      .filter(({ fd }) => fd >= 10)
      .map(({ fd, file }) => {
        const { seen } = table.files[file] as OpenFileOf<'file'>;
        return [fd, seen ? Buffer.from(seen).toString() : null];
      }),
  );
}

/** Opens a file twice, reads it once, and asks for news, which takes none away. */
const opened = `
def told(fd):
  poll = select.poll(); poll.register(fd, select.POLLPRI); return bool(poll.poll(0))
at(os.open("${OPERSTATE}", os.O_RDONLY), 10)
at(os.open("${OPERSTATE}", os.O_RDONLY), 11)
os.read(11, 100)
assert told(10) and not told(11)
`;

testWith(['python3'], 'what was read tells of no change, and what was not tells of one', async (t) => {
  const { before, after } = await roundTrip(t, opened);
  t.deepEqual(seenBy(before), { 10: null, 11: 'unknown\n' });
  t.deepEqual(seenBy(after), seenBy(before));
  t.deepEqual(after.table.files, before.table.files);
});

testWith(['python3'], 'what holds something else at the thaw tells of a change', async (t) => {
  for (const seen of ['unknowm\n', 'unknown', 'unknown\n\0', '']) {
    const target = await startTarget(t, opened);
    const { table, objects } = capture(target);
    const ended = once(target.child, 'exit');
    target.child.kill('SIGKILL');
    await ended;
    const files = table.files.map((file) =>
      file.kind === 'file' && file.seen ? { ...file, seen: Buffer.from(seen) } : file,
    );
    const child = await restore(t, withContent({ ...table, files }, objects));
    t.deepEqual(seenBy(capture({ pid: child.pid! })), { 10: null, 11: null }, JSON.stringify(seen));
  }
});
