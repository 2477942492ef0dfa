/** What was not read of a TCP connection with urgent data (MSG_OOB): before its mark, at it, and behind. */
import test from 'ava';
import { openKernel } from '../../../src/kernel/open.js';
import { parseChoices } from '../../../src/proc/descriptors/choices.js';
import type { CapturedDescriptors } from '../../../src/proc/descriptors/index.js';
import { capture, fileOf, startTarget } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

/** `a(...)`: a connection on which these pieces have come, those in bytearrays as urgent data. */
const PAIRS = `
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
def wait(a, what):
    p = select.poll(); p.register(a, what)
    if not p.poll(10000): raise TimeoutError
def a(*pieces, inline=False, taken=False, read=(), ended=False):
    c = socket.create_connection(l.getsockname()); s = l.accept()[0]
    if inline: s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    for piece in pieces:
        c.send(piece, socket.MSG_OOB if isinstance(piece, bytearray) else 0)
    c.shutdown(socket.SHUT_WR)
    wait(s, select.POLLRDHUP)
    if taken: s.recv(1, socket.MSG_OOB)
    for size in read: s.recv(size)
    if ended: s.shutdown(socket.SHUT_WR); wait(s, select.POLLHUP)
    return s.detach(), c
`;

/** What was captured of the input of connections. */
function inputs(captured: Pick<CapturedDescriptors, 'table'>, fds: readonly number[]): unknown[] {
  return fds.map((fd) => {
    const file = fileOf(captured, fd);
    return file.kind === 'inet' && [shown(file.input), file.urgent];
  });
}

/** In letters, many of one kind counted. */
function shown(input: Uint8Array): string {
  return Buffer.from(input)
    .toString('latin1')
    .replace(/x{9,}/, (run) => `x*${run.length}`);
}

for (const ended of [false, true]) {
  const state = ended ? 'closed' : 'alive';
  test(`all that was not read is carried, urgent data among it, of connections that are ${state}`, async (t) => {
    const E = ended ? ', ended=True' : '';
    const { before, after } = await roundTrip(
      t,
      `${PAIRS}
U = bytearray(b"U")
keep = [(at(s, n), c) for n, (s, c) in enumerate([
    a(b"ab", U, b"cd"${E}), a(b"ab", U, b"cd", taken=True${E}), a(b"ab", U, b"cd", inline=True${E}),
    a(b"ab", U, b"cd", read=[2]${E}), a(b"ab", U, b"cd", read=[2], taken=True${E}), a(b"ab", U, b"cd", read=[2], inline=True${E}),
    a(b"ab", U${E}), a(U${E}), a(U, b"x" * 50000${E}), a(b"x" * 50000, U${E}), a(b"ab", U, b"cd", read=[2, 1]${E}), a(b"ab"${E}), a(${E.slice(2)}),
], 100)]
l.close()
`,
    );
    const fds = Array.from({ length: 13 }, (_, i) => 100 + i);
    const x = 'x*50000';
    t.deepEqual(inputs(before, fds), [
      ['abUcd', { at: 2, taken: false }],
      ['ab\0cd', { at: 2, taken: true }],
      ['abUcd', { at: 2, taken: false }],
      ['Ucd', { at: 0, taken: false }],
      ['\0cd', { at: 0, taken: true }],
      ['Ucd', { at: 0, taken: false }],
      ['abU', { at: 2, taken: false }],
      ['U', { at: 0, taken: false }],
      [`U${x}`, { at: 0, taken: false }],
      [`${x}U`, { at: 50000, taken: false }],
      ['d', null],
      ['ab', null],
      ['', null],
    ]);
    t.deepEqual(inputs(after, fds), inputs(before, fds));
  });
}

test('where another process has the connection, too, nothing is looked at behind urgent data', async (t) => {
  const target = await startTarget(
    t,
    `${PAIRS}
U = bytearray(b"U")
keep = [(at(s, n), c) for n, (s, c) in enumerate([
    a(b"ab", ended=True), a(b"ab", U, b"cd", taken=True, ended=True), a(b"ab", U, b"cd", taken=True), a(b"ab", U, b"cd"), a(b"ab")
], 100)]
l.close()
r, w = os.pipe()
if os.fork() == 0:
    os.write(w, b"x"); signal.pause()
os.read(r, 1); os.close(r); os.close(w)
`,
  );
  const { problems } = capture(target);
  const blind = typeof openKernel() === 'string';
  t.deepEqual(
    problems.map(
      (line) => /^descriptor (\d+) \(TCP socket, .*another process has it, too, .*MSG_OOB/.exec(line)?.[1],
    ),
    [...(blind ? ['100'] : []), '101', '102', '103'],
  );
  const rest = capture(target, parseChoices([...(blind ? [100] : []), 101, 102, 103], []));
  t.deepEqual(rest.problems, []);
  const fds = [...(blind ? [] : [100]), 104];
  t.deepEqual(
    inputs(rest, fds).map((input) => (Array.isArray(input) ? input[0] : input)),
    [...(blind ? [] : ['ab']), 'ab'],
  );
});
