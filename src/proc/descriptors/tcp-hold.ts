/** The hold on connections that are kept: what the peers send is dropped, so that nothing changes any more. */
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { AF, SOCK, SOL } from '../../inet.js';
import { socketName, tcpInfo } from '../../native/inet.js';
import { askNetfilter } from '../../native/nfnetlink.js';
import { getOption, makeSocket } from '../../native/sockets.js';
import { awaitGracePeriod } from '../../native/syscalls.js';
import { setRepair } from '../../native/tcp-repair.js';
import { askForGeneration, type Ends, holdName, makeTable, removeTable } from '../../nftables.js';
import { KEPT_STATES, REPAIR } from '../../tcp.js';
import { errnoOf } from '../read.js';

const SO_PEERNAME = 28;

/** Who undoes what is done to connections, should we not live to do it: the tracer. */
export interface TcpGuard {
  /** The messages that remove the hold, if the target goes on. */
  setHold(removal: Uint8Array): void;
  /** Puts the connection of a descriptor of the target into repair mode, and the one before out of it. */
  repair(fd: number | null): void;
  /** The same of one that has none, being on its way in a socket, by a duplicate of ours. */
  repairCopy(copy: number): void;
}

/** Why connections cannot be kept here, whatever they are; `null` if they can. */
export function keepProblem(): string | null {
  const fd = makeSocket(AF.INET, SOCK.STREAM);
  try {
    setRepair(fd, REPAIR.ON);
    askNetfilter(askForGeneration());
    return null;
  } catch (error) {
    return errnoOf(error) === 'EPERM'
      ? '--tcp keep needs CAP_NET_ADMIN: run as root'
      : `--tcp keep needs nf_tables, which this kernel does not offer (${errnoOf(error)})`;
  } finally {
    closeSync(fd);
  }
}

/** Both ends of a connection that can be kept; `null` for a socket that has none. */
export function endsOf(copy: number): Ends | null {
  const { state } = tcpInfo(copy);
  if (!KEPT_STATES.some(([known]) => known === state)) return null;
  const local = socketName(copy);
  // Other than getpeername(2) this knows the peer of an attempt, too. It wants the exact size.
  const peer = getOption(copy, SOL.SOCKET, SO_PEERNAME, local.length);
  return peer && { local, peer };
}

/**
 * Holds connections. From then on they stay as they are, but for what the kernel sends in vain.
 * @param guard is told first
 * @returns the name of the nftables table
 */
export function holdConnections(pid: number, connections: readonly Ends[], guard: TcpGuard): string {
  const name = holdName(pid, randomBytes(4).toString('hex'));
  guard.setHold(removeTable(name));
  askNetfilter(makeTable(name, `TCP connections of process ${pid}, frozen by proc2elf`, connections));
  // What had passed before the table was there has arrived by then.
  awaitGracePeriod();
  return name;
}

/** Lets connections go on. Whether anything held them does not matter. */
export function removeHold(name: string): void {
  try {
    askNetfilter(removeTable(name));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
