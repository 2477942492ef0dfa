/** How a kind of open file description is made again. */
import type { OpenFile } from '../../snapshot/descriptors.js';
import type { Shares } from '../../snapshot/shared-address.js';
import type { Cell, Op, Operand } from '../program.js';
import type { Bench, Place } from './bench.js';

/** What all kinds draw on. */
export interface Tools {
  readonly bench: Bench;
  /** Descriptor of each memory object; `null` for those that have none. */
  readonly objects: readonly (number | null)[];
  /** Descriptor of each deleted directory. */
  readonly folders: readonly number[];
  readonly pipes: readonly PipePlace[];
  /** Holds, under `Flag.SCRATCH`, the address of the name of the folder for files of the image. */
  readonly scratch: Cell;
  /** The id that a thread has now, by the one that it had. The threads are there when things are started. */
  tidOf(tid: number): Operand;
  /** The folder of a thread in `/proc`, when things are started; `apart`: by its own id, not below its process. */
  folderOf(tid: number, apart: boolean): Operand;
  /** Unix domain sockets while they are made, by index of the file. */
  readonly sockets: ReadonlyMap<number, SocketPlace>;
  /** Sockets that share an address as their own options would not let them. */
  readonly shares: Shares;
  /** Where sockets with datagrams stand before they have their address, by index of the file. */
  readonly filled: ReadonlyMap<number, number>;
}

/** A Unix domain socket while it is made. */
export interface SocketPlace {
  readonly fd: number;
  /** The other end, where that is to be closed at last. */
  readonly other: number | null;
}

/** A pipe while it is made: one descriptor for each end; the same for both in the case of a FIFO. */
export interface PipePlace {
  readonly reader: number;
  readonly writer: number;
  readonly users: PipeUsers;
}

/** The files of a table that are ends of one pipe, by index; `undefined` where there is none. */
export interface PipeUsers {
  readonly first: number | undefined;
  readonly firstReader: number | undefined;
  readonly firstWriter: number | undefined;
}

/** A kind. Everything is emitted in this order: all `make`, duplicates, all `listen`, all `connect`; at the end all `start`, then `release`. */
export interface KindPlanner<F extends OpenFile> {
  /** Makes the description at `place.at`. */
  make(file: F, place: Place, tools: Tools): Op[];
  /** What needs all others to have their addresses, and comes before what `connect` does. */
  listen?(file: F, place: Place, tools: Tools): Op[];
  /** What needs other descriptors to be in their places. */
  connect?(file: F, place: Place, tools: Tools): Op[];
  /** What begins to run, once everything is in its place: `place.at` is a number of the process. */
  start?(file: F, place: Place, tools: Tools): Op[];
  /** The very last of all, when nothing can fail any more: what others notice. `place` is as for `start`. */
  release?(file: F, place: Place, tools: Tools): Op[];
  /** Under `--check`: what can be tested without making anything. */
  check?(file: F, place: Place, tools: Tools): Op[];
}
