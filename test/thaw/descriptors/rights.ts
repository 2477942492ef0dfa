/** Descriptors on their way in Unix domain sockets, for tests. */
import type { ExecutionContext } from 'ava';
import type { OpenFile, OpenFileOf } from '../../../src/snapshot/descriptors.js';
import { type capture, fileOf } from '../../proc/descriptors/support.js';
import { roundTrip } from './support.js';

/** Pairs of sockets at numbers, and what is sent with descriptors, some of which are then closed. */
export const SOCKETS = `
def pair(one, two, type=socket.SOCK_STREAM):
    a, b = socket.socketpair(socket.AF_UNIX, type)
    at(a.detach(), one); at(b.detach(), two)
def send(through, data, *fds, close=True):
    s = socket.socket(fileno=os.dup(through))
    assert socket.send_fds(s, [data], fds) == len(data)
    s.close()
    if close:
        for fd in set(fds): os.close(fd)
`;

type Table = ReturnType<typeof capture>['table'];
type Socket = OpenFileOf<'unix'>;

export function socketAt(captured: { table: Table }, fd: number): Socket {
  return fileOf(captured as ReturnType<typeof capture>, fd) as Socket;
}

/** What is on its way in a socket, message by message. */
export function carried({ table }: { table: Table }, { passed, content }: Socket): [string, ...OpenFile[]][] {
  return passed.map(({ message, files }) => [
    Buffer.from(content[message]!).toString(),
    ...files.map((index) => table.files[index]!),
  ]);
}

/** Members of epoll sets come in an order of the kernel's own; timers run; numbers of terminals are others' by now. */
function ordered(table: Table): Table {
  const files = table.files.map((file): OpenFile => {
    if (file.kind === 'timerfd') return { ...file, next: BigInt(Number(file.next > 0n)) };
    if (file.kind === 'pty-master' || file.kind === 'pty-slave') return { ...file, number: 0 };
    if (file.kind !== 'epoll') return file;
    return { ...file, members: file.members.toSorted((a, b) => a.fd - b.fd) };
  });
  return { ...table, files };
}

/** The same again, and nothing of it is left open. */
export async function same(t: ExecutionContext, code: string, flags = 0) {
  const outcome = await roundTrip(t, SOCKETS + code, undefined, flags);
  t.deepEqual(ordered(outcome.after.table), ordered(outcome.before.table));
  return outcome;
}
