/** Refusals of Unix domain sockets: with the choices that they offer, the freeze passes. */
import { closeSync } from 'node:fs';
import test from 'ava';
import { peekAll } from '../../../src/native/peek-all.js';
import { NO_CHOICES, parseChoices } from '../../../src/proc/descriptors/choices.js';
import { withDuplicateOf } from '../../../src/proc/descriptors/duplicate.js';
import { FileDecisions } from '../../../src/proc/file-choices.js';
import { capture, startTarget, type Target } from '../../proc/descriptors/support.js';
import { SOCKETS } from './rights.js';
import { restore, withContent } from './support.js';

/** Pairs of which a child has the other end, and has sent what `says` does. */
const OUTSIDE = `${SOCKETS}
STREAM, DATAGRAM, PACKETS = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
def outside(number, type, says=lambda end: None, *options):
    own, end = socket.socketpair(socket.AF_UNIX, type)
    for option in options: own.setsockopt(socket.SOL_SOCKET, option, 0 if option == 42 else 1)
    r, w = os.pipe()
    if os.fork() == 0:
        os.close(own.detach()); os.closerange(10, 40); says(end); os.write(w, b'x'); signal.pause()
    os.read(r, 1); os.close(r); os.close(w); end.close()
    at(own.detach(), number)
def several(end):
    for text in (b'one', b'two', b'three'): end.send(text)
def passing(*makes):
    def says(end):
        for make in makes:
            fd = make(); socket.send_fds(end, [b'with it'], [fd]); os.close(fd)
    return says
`;

/** Programs, and how many lines of refusal each gets. */
const REFUSED: Readonly<Record<string, readonly [lines: number, code: string]>> = {
  'a stream to another process': [1, 'outside(10, STREAM)'],
  'a stream from which something is to be read': [1, 'outside(10, STREAM, several)'],
  'a stream with descriptors': [1, 'outside(10, STREAM, passing(lambda: os.eventfd(1)))'],
  'a stream with urgent data': [1, "outside(10, STREAM, lambda end: end.send(b'xyz', socket.MSG_OOB))"],
  'a datagram': [1, "outside(10, DATAGRAM, lambda end: end.send(b'one'))"],
  datagrams: [1, 'outside(10, DATAGRAM, several)'],
  'datagrams with descriptors': [
    1,
    'outside(10, DATAGRAM, passing(lambda: os.eventfd(1), lambda: os.eventfd(2)))',
  ],
  packets: [1, 'outside(10, PACKETS, several)'],
  'packets with descriptors': [
    1,
    'outside(10, PACKETS, passing(lambda: os.eventfd(1), lambda: os.eventfd(2)))',
  ],
  'packets with memory that the other has, too': [
    2,
    `
def shares(end): socket.send_fds(end, [b'memory'], [os.memfd_create('m')])
outside(10, PACKETS, shares)`,
  ],
  'messages with credentials of the other': [1, 'outside(10, DATAGRAM, several, socket.SO_PASSCRED)'],
  'messages with pidfds of the other': [1, 'outside(10, PACKETS, several, 76)'],
  'a program that peeks at an offset': [1, 'outside(10, PACKETS, several, 42)'],
  'a socket that another process has, too': [
    2,
    `
pair(10, 11)
if os.fork() == 0: signal.pause()`,
  ],
  'connections that nobody has accepted': [
    1,
    `
l = socket.socket(socket.AF_UNIX); l.bind("\\0choices %d" % os.getpid()); l.listen()
c = socket.socket(socket.AF_UNIX); c.connect(l.getsockname()); at(l.detach(), 10); at(c.detach(), 11)`,
  ],
  'a connection that nobody has accepted, with descriptors': [
    2,
    `
l = socket.socket(socket.AF_UNIX); l.bind("\\0choices %d" % os.getpid()); l.listen()
c = socket.socket(socket.AF_UNIX); c.connect(l.getsockname()); at(l.detach(), 10); at(c.detach(), 11)
send(11, b'x', at(os.eventfd(0), 20))`,
  ],
  'a datagram that anybody may have sent': [
    1,
    `
s = socket.socket(socket.AF_UNIX, DATAGRAM); s.bind("\\0choices %d" % os.getpid())
socket.socket(socket.AF_UNIX, DATAGRAM).sendto(b'x', s.getsockname()); at(s.detach(), 10)`,
  ],
  'a name in a folder that is gone': [
    3,
    `
os.mkdir('gone'); s = socket.socket(socket.AF_UNIX); s.bind(os.getcwd() + '/gone/name'); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect(s.getsockname()); a, _ = s.accept(); at(a.detach(), 11); at(c.detach(), 12)
d = socket.socket(socket.AF_UNIX, DATAGRAM); d.bind(os.getcwd() + '/gone/datagrams'); at(d.detach(), 13)
os.unlink('gone/name'); os.unlink('gone/datagrams'); os.rmdir('gone'); at(s.detach(), 10)`,
  ],
  'a connection to a socket without a name': [
    1,
    `
s = socket.socket(socket.AF_UNIX, DATAGRAM); s.bind(os.getcwd() + '/name')
c = socket.socket(socket.AF_UNIX, DATAGRAM); c.connect(s.getsockname()); os.unlink('name')
at(s.detach(), 10); at(c.detach(), 11)`,
  ],
  'packets of one that is closed': [
    1,
    `
a, b = socket.socketpair(socket.AF_UNIX, PACKETS); b.send(b'one'); b.send(b'two'); b.close(); at(a.detach(), 10)`,
  ],
  'a socket on its way, to another process': [
    1,
    `
outside(10, STREAM, several); pair(12, 13); send(13, b'x', 10)`,
  ],
};

/** What a line offers, each as the number that it is about and the option. */
function offers(line: string): { option: string; fd: number }[] {
  const options = line.match(/--(unix-peer close|embed-shared|drop-fd \d+|external \d+|fd \d+=PATH)/g) ?? [];
  return options.map((text) => {
    const [option, fd] = text.split(' ') as [string, string];
    return { option, fd: Number.parseInt(fd, 10) };
  });
}

/** Freezes with a choice for each line. */
function choose(target: Target, chosen: readonly { option: string; fd: number }[]): readonly string[] {
  const numbers = (of: string): number[] => [
    ...new Set(chosen.flatMap(({ option, fd }) => (option === of ? [fd] : []))),
  ];
  const has = (of: string): boolean => chosen.some(({ option }) => option === of);
  const paths = numbers('--fd').map((fd) => `${fd}=/dev/null`);
  const choices = {
    ...parseChoices(numbers('--drop-fd'), paths, '/', numbers('--external')),
    ...(has('--unix-peer') ? { unixPeer: 'close' as const } : {}),
  };
  return capture(target, choices, new FileDecisions(), has('--embed-shared')).problems;
}

for (const [what, [lines, code]] of Object.entries(REFUSED)) {
  test(what, async (t) => {
    const target = await startTarget(t, `${OUTSIDE}${code}\n`);
    const { problems } = capture(target);
    t.is(problems.length, lines, problems.join('\n'));
    const offered = problems.map(offers);
    const most = Math.max(...offered.map(({ length }) => length));
    for (let i = 0; i < most; i++) {
      const chosen = offered.map((list) => list[Math.min(i, list.length - 1)]!);
      const says = chosen.map(({ option, fd }) => `${option} ${fd}`).join(' ');
      t.deepEqual(choose(target, chosen), [], `${says} for ${problems.join('\n')}`);
    }
  });
}

test('messages of another process are there where it is found closed', async (t) => {
  const target = await startTarget(
    t,
    `${OUTSIDE}
outside(10, DATAGRAM, several); outside(11, PACKETS, several)
outside(12, PACKETS, passing(lambda: os.eventfd(1), lambda: os.eventfd(2)))
`,
  );
  const { table, objects, problems } = capture(target, { ...NO_CHOICES, unixPeer: 'close' });
  t.deepEqual(problems, []);
  const child = await restore(t, withContent(table, objects));
  const waiting = (fd: number) =>
    withDuplicateOf(child.pid!, fd, (copy) =>
      peekAll(copy, 100, 10, true).map(({ bytes, descriptors }) => {
        for (const received of descriptors) closeSync(received);
        return [Buffer.from(bytes).toString(), descriptors.length];
      }),
    );
  const texts = ['one', 'two', 'three'].map((text) => [text, 0]);
  t.deepEqual(waiting(10), texts);
  // Behind them a socket of packets that is closed gives empty ones.
  t.deepEqual(waiting(11).slice(0, 4), [...texts, ['', 0]]);
  t.deepEqual(waiting(12).slice(0, 3), [
    ['with it', 1],
    ['with it', 1],
    ['', 0],
  ]);
});
