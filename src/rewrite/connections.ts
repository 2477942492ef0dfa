/** Connections to others in an image, as `--tcp`, `--unix-peer` and `--pty-peer` say. */
import { UnsupportedError } from '../errors.js';
import { addressText, SO, SOL } from '../inet.js';
import type { DescriptorChoices } from '../proc/descriptors/choices.js';
import { closedLine, notMadeLine } from '../proc/descriptors/inet.js';
import { refusalOf } from '../proc/descriptors/refusal.js';
import { closedProblem } from '../proc/descriptors/signals.js';
import type { DescriptorTable, OpenFile, OpenFileOf } from '../snapshot/descriptors.js';
import { carriersOf } from '../snapshot/in-flight.js';
import type { TcpConnection } from '../snapshot/tcp-connection.js';
import { BUFFER_LOCK } from '../socket.js';
import { socketPath } from '../unix-name.js';

type Inet = OpenFileOf<'inet'>;
/** What of the choices is about connections. */
type PeerChoices = Pick<DescriptorChoices, 'tcp' | 'unixPeer' | 'ptyPeer'>;

/** Sizes of buffers that the program has set, by what SO_BUF_LOCK tells. */
const SET = [
  [BUFFER_LOCK.SEND, SO.SNDBUF, 'sendBuffer'],
  [BUFFER_LOCK.RECEIVE, SO.RCVBUF, 'receiveBuffer'],
] as const;

/**
 * Closes connections that are kept, as a freeze with `--tcp close` would have; what has been let go of stays so.
 * @param warnings filled with what is lost
 * @throws UnsupportedError naming each connection that was let go of, and that a choice wants to have
 */
export function rewriteConnections(
  table: DescriptorTable,
  choices: PeerChoices,
  warnings: string[],
): DescriptorTable {
  const problems: string[] = [];
  const carriers = carriersOf(table);
  const files = table.files.map((file, index) => {
    const own = table.descriptors.find((descriptor) => descriptor.file === index)?.fd;
    const fd = own ?? carriers.get(index);
    if (fd === undefined) return file;
    const closes = choices.tcp === 'close' && file.kind === 'inet' && file.connection !== null;
    const problem = goneProblem(file, choices) ?? (closes ? closedProblem(closed(file)) : null);
    const name = own === undefined ? `what is on its way in descriptor ${fd}` : undefined;
    if (problem !== null) problems.push(refusalOf(fd, describe(file), problem, [], name));
    else if (closes) {
      warnings.push(lineOf(fd, file.connection!));
      return closed(file);
    }
    return file;
  });
  if (problems.length > 0) throw new UnsupportedError(problems);
  if (choices.tcp !== 'close' || table.hold === null) return { ...table, files };
  warnings.push(
    `the nftables table inet ${table.hold} goes on holding the TCP connections for the image that was rewritten: ` +
      `running that removes it; to give them up: nft delete table inet ${table.hold}`,
  );
  return { ...table, files, hold: null };
}

/** Why a choice cannot be fulfilled: the state of the connection is not in the image. */
function goneProblem(file: OpenFile, { tcp, unixPeer, ptyPeer }: PeerChoices): string | null {
  const lost = (option: string): string =>
    `it was closed at the freeze (${option} close) or by rewriting, and its state is not in the image`;
  if (file.kind === 'inet' && file.letGo && tcp === 'keep') return lost('--tcp');
  if (file.kind === 'unix' && file.letGo && unixPeer === 'refuse') return lost('--unix-peer');
  if (file.kind === 'pty-master' && file.letGo && ptyPeer === 'refuse') return lost('--pty-peer');
  return null;
}

function describe(file: OpenFile): string {
  switch (file.kind) {
    case 'inet':
      return file.connection ? `TCP, ${between(file.connection)}` : 'TCP';
    case 'unix':
      return ['socket', socketPath(file.name, file.folder)].filter((part) => part !== '').join(', ');
    case 'pty-master':
      return `pseudoterminal master, /dev/pts/${file.number}`;
    default:
      return file.kind;
  }
}

function between({ local, peer }: TcpConnection): string {
  return `${addressText(local)} to ${addressText(peer)}`;
}

function lineOf(fd: number, connection: TcpConnection): string {
  const what = `descriptor ${fd} (TCP): the connection from ${between(connection)}`;
  const { state, unconfirmed, unsent } = connection;
  return state === 'syn-sent' ? notMadeLine(what) : closedLine(what, unconfirmed.length + unsent.length);
}

/** What `src/proc/descriptors/inet.ts` makes of a connection with `--tcp close`. */
function closed(file: Inet): Inet {
  const { state, input, locks, ...sizes } = file.connection!;
  const options = SET.flatMap(([bit, option, size]) => {
    const value = Uint8Array.from(Buffer.from(Int32Array.of(sizes[size]).buffer));
    return locks & bit ? [{ level: SOL.SOCKET, option, value }] : [];
  });
  const ended = state === 'syn-sent' ? 'refused' : 'closed';
  const rest = { ended, input, urgent: null, letGo: true, connection: null, scope: '' } as const;
  const unbound = { switchedOff: [], chosen: [] };
  return { ...file, ...rest, ...unbound, keys: [], options: [...file.options, ...options] };
}
