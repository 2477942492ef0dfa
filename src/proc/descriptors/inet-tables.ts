/** What the kernel's tables tell of IPv4 and IPv6 sockets: sock_diag(7) and /proc/net. */
import { readFileSync } from 'node:fs';
import { AF, isLinkLocal, type Making, protocolNumber, putTogether, SO } from '../../inet.js';
import { type InetFacts, inetSockets } from '../../native/inet-diag.js';
import { integerOption } from '../../native/sockets.js';
import type { Entry } from './entries.js';
import type { KindContext } from './kind.js';
import { once } from './once.js';
import type { Target } from './target.js';

/** `net/tcp_states.h` */
const ESTABLISHED = 1;
/** Columns of /proc/net/tcp, and of the tables like it. */
const REMOTE = 2;
const STATE = 3;
const INODE = 9;

/** What sock_diag(7) tells of a socket; `null` where it has nothing to tell. */
export function factsOf(
  { stat }: Entry,
  making: Making,
  states: number,
  context: KindContext,
): InetFacts | null {
  const { family, protocol } = making;
  const sockets = once(context, `facts ${family} ${protocol} ${states}`, () => {
    const number = protocolNumber(making);
    return inetSockets(family === 'ipv4' ? AF.INET : AF.INET6, number, states);
  });
  return sockets.get(stat.ino) ?? null;
}

/** A table of /proc/net: the columns of each socket by its inode. */
function readTable(table: string): Map<string, string[]> {
  const lines = readFileSync(`/proc/self/net/${table}`, 'latin1').split('\n');
  return new Map(
    lines.map((line) => {
      const columns = line.trim().split(/\s+/);
      return [columns[INODE] ?? '', columns];
    }),
  );
}

/** The columns of a socket in a table of /proc/net, as it is when it is first asked for. */
export function findLine(target: Target, table: string, inode: bigint): string[] | undefined {
  return once(target, `table ${table}`, () => readTable(table)).get(String(inode));
}

/** `net/tcp_states.h`, from such columns. */
export function stateOf(columns: readonly string[]): number {
  return Number.parseInt(columns[STATE]!, 16);
}

/**
 * The peer of a raw or echo socket, which has no port for getpeername(2) to tell: from the tables in
 * /proc/net, where addresses stand in words of this processor.
 */
export function connectedTo(
  { stat }: Entry,
  { family, protocol }: Making,
  copy: number,
  context: KindContext,
): Uint8Array | null {
  if (protocol !== 'raw' && protocol !== 'ping') return null;
  const table = `${protocol === 'raw' ? 'raw' : 'icmp'}${family === 'ipv4' ? '' : '6'}`;
  const line = once(context, `table ${table}`, () => readTable(table)).get(String(stat.ino));
  if (!line || stateOf(line) !== ESTABLISHED) return null;
  const [host, port] = line[REMOTE]!.split(':') as [string, string];
  const bytes = Buffer.concat((host.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').reverse()));
  const address = Buffer.from(putTogether(bytes, Number.parseInt(port, 16)));
  if (isLinkLocal(bytes)) address.writeUInt32LE(integerOption(copy, SO.BINDTOIFINDEX), 24);
  return address;
}
