/** What the kernel's packet filter keeps for a socket of NETLINK_NETFILTER: it ends with it, and cannot be moved to another. */
import { readFileSync } from 'node:fs';
import { askNetfilter } from '../../native/nfnetlink.js';
import { askForTables, ownedTables } from '../../nftables.js';
import { errnoOf } from '../read.js';

/** Tables of `/proc/net/netfilter`, with what a line stands for. The first column is its number, the second the port. */
const LISTS: readonly (readonly [name: string, what: string])[] = [
  ['nfnetlink_queue', 'queue'],
  ['nfnetlink_log', 'log group'],
];

/**
 * What is tied to the socket with that port, of the network namespace in which this process is.
 * @throws Error with `code` where that is not told: EACCES, EPERM
 */
export function netfilterTies(port: number): string[] {
  return [
    ...LISTS.flatMap(([name, what]) => numbersIn(name, port).map((number) => `${what} ${number}`)),
    ...tablesOf(port).map((name) => `table ${name}`),
  ];
}

/** None where the kernel has not loaded that part of it. */
function numbersIn(name: string, port: number): string[] {
  let text: string;
  try {
    text = readFileSync(`/proc/self/net/netfilter/${name}`, 'latin1');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, owner]) => owner === String(port))
    .map(([number]) => number!);
}

/** What is said where the kernel has no nf_tables. */
const NO_TABLES: readonly unknown[] = ['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT'];

/** Tables with NFT_TABLE_F_OWNER. */
function tablesOf(port: number): string[] {
  try {
    return ownedTables(askNetfilter(askForTables()), port);
  } catch (error) {
    if (NO_TABLES.includes(errnoOf(error))) return [];
    throw error;
  }
}
