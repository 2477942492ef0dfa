/** Unix domain sockets of a process: what they are connected to, and where the other end lies. */
import { O } from '../../fcntl.js';
import { SocketState, type UnixSocket, unixSockets } from '../../native/sock-diag.js';
import { Sock } from '../../socket.js';
import type { Entry } from './entries.js';
import { infoField } from './fdinfo.js';
import { elsewhereProblem } from './network-namespace.js';
import type { Target } from './target.js';

const LINK = /^socket:\[(\d+)\]$/;

/**
 * Where the other end of a socket lies:
 * - `none`: it is not connected
 * - `inside`: the process has it, and no other process does
 * - `outside`: another process has it
 * - `closed`: nobody has it any more
 * - `pending`: nobody has accepted the connection yet
 */
export type Peer = 'none' | 'inside' | 'outside' | 'closed' | 'pending';

/** The sockets of the network namespace, seen from one process. */
export class UnixView {
  /** Why nothing is known of the process's sockets; `null` where it is. */
  readonly blind: string | null;
  readonly #sockets: ReadonlyMap<bigint, UnixSocket>;
  readonly #entries = new Map<bigint, Entry>();
  readonly #held: ReadonlyMap<string, number>;
  readonly #let = new Set<string>();
  /** Sockets may be on their way in others, which were not looked at. */
  readonly #mayHide: boolean;
  readonly #names = new Map<string, number>();
  #bound: ReadonlyMap<string, UnixSocket> | undefined;

  constructor({ pid, entries, choices, inFlight, others }: Target) {
    const own = entries.filter((entry) => inodeOf(entry) !== null);
    const found = own.length > 0 ? lookUpSockets(pid) : new Map<bigint, UnixSocket>();
    this.blind = typeof found === 'string' ? found : null;
    this.#sockets = typeof found === 'string' ? new Map() : found;
    const links = new Set(own.filter((entry) => this.#sockets.has(inodeOf(entry)!)).map(({ link }) => link));
    this.#held = others.findLinks(links).held;
    this.#mayHide = !inFlight.looked && own.some((entry) => carriedIn(entry) > 0);
    for (const entry of own) {
      const { fd, flight } = entry;
      const chosen = choices.drop.has(fd) || choices.replace.has(fd) || choices.inherit.has(fd);
      const kept = !chosen && !flight?.letGo;
      const inode = inodeOf(entry)!;
      if (!kept) this.#let.add(entry.link);
      else if (!this.#entries.has(inode)) this.#entries.set(inode, entry);
    }
    for (const socket of this.#sockets.values()) {
      const key = keyOf(socket);
      this.#names.set(key, (this.#names.get(key) ?? 0) + 1);
    }
  }

  /** The Unix domain socket behind a descriptor; `null` for any other descriptor. */
  socket(entry: Entry): UnixSocket | null {
    const inode = inodeOf(entry);
    return inode === null ? null : (this.#sockets.get(inode) ?? null);
  }

  /** Whether another process has a descriptor of it. */
  isShared({ link }: Entry): boolean {
    return this.#held.has(link);
  }

  /** Where the other end lies. */
  peer(socket: UnixSocket): Peer {
    if (socket.peer === null) return 'none';
    const peer = this.#sockets.get(socket.peer);
    if (!peer) {
      const connected = socket.type !== Sock.DGRAM;
      return connected && socket.shutdown !== 3 ? 'pending' : 'closed';
    }
    const link = `socket:[${socket.peer}]`;
    if (this.#held.has(link)) return 'outside';
    if (this.#entries.has(socket.peer)) return 'inside';
    // One that the user lets go of is closed in the image.
    if (this.#let.has(link)) return 'closed';
    return this.#mayHide ? 'inside' : 'outside';
  }

  /** The socket at the other end, wherever that is; `null` if it is closed. */
  peerSocket({ peer }: UnixSocket): UnixSocket | null {
    return peer === null ? null : (this.#sockets.get(peer) ?? null);
  }

  /** A descriptor, one that is carried, of the socket with an inode. */
  entry(inode: bigint): Entry | null {
    return this.#entries.get(inode) ?? null;
  }

  /** A socket of the process that was bound to the name that another one bears, if only to one like it. */
  boundLike(socket: UnixSocket): UnixSocket | null {
    this.#bound ??= new Map(
      [...this.#entries.values()]
        .map((entry) => this.socket(entry))
        .filter((own) => own !== null && !this.isAccepted(own))
        .map((own) => [textOf(own!), own!]),
    );
    return this.#bound.get(textOf(socket)) ?? null;
  }

  /**
   * Whether a connected socket has its name from the listening socket that accepted it. A name of its
   * own is of one socket only; where the listening socket is gone, the later of both ends was accepted.
   */
  isAccepted(socket: UnixSocket): boolean {
    if (socket.type === Sock.DGRAM || socket.state !== SocketState.ESTABLISHED) return false;
    if (socket.name.length === 0) return false;
    if (this.#names.get(keyOf(socket))! > 1) return true;
    const peer = this.peerSocket(socket);
    if (!peer || peer.name.length === 0) return true;
    return this.#names.get(keyOf(peer))! === 1 && socket.inode > peer.inode;
  }
}

const views = new WeakMap<Target, UnixView>();

/** The view of a process; looked up once. */
export function unixView(target: Target): UnixView {
  const view = views.get(target) ?? new UnixView(target);
  views.set(target, view);
  return view;
}

/** Inode of the Unix domain socket behind a descriptor; `null` if it is none. */
export function inodeOf({ link, protocol, info }: Entry): bigint | null {
  if (info.flags & O.PATH) return null;
  const match = /^UNIX/.test(protocol ?? 'UNIX') ? LINK.exec(link) : null;
  return match ? BigInt(match[1]!) : null;
}

/** How many descriptors are on their way in a Unix domain socket (SCM_RIGHTS): `scm_fds`, since Linux 5.6. */
export function carriedIn({ info }: Entry): number {
  return Number(infoField(info.text, 'scm_fds') ?? 0);
}

/** All sockets that the process can see, or why they cannot be told. */
export function lookUpSockets(pid: number): Map<bigint, UnixSocket> | string {
  if (elsewhereProblem(pid) !== null)
    return 'it is in another network namespace, whose sockets cannot be looked at from here';
  try {
    return unixSockets();
  } catch (error) {
    return `what it is connected to cannot be looked up: ${error instanceof Error ? error.message : error}`;
  }
}

/** A relative name may be that of several files. */
function keyOf(socket: UnixSocket): string {
  return `${textOf(socket)} ${socket.node ?? ''}`;
}

function textOf({ name }: UnixSocket): string {
  return Buffer.from(name).toString('latin1');
}
