/** Where descriptors stand while the table is made again. */
import { type DescriptorTable, modelOf, type OpenFile } from '../../snapshot/descriptors.js';
import { carriersOf } from '../../snapshot/in-flight.js';
import type { Arena } from '../arena.js';
import type { Cell, Check, Op } from '../program.js';
import { close, duplicate } from './calls.js';

/** A file and the numbers that it gets. */
export interface Place {
  /** Index in the table. */
  readonly index: number;
  /** The number at which it is made: one of its own, or a temporary one where those are all 0, 1 or 2. */
  readonly at: number;
  /** Close-on-exec of that number. */
  readonly closeOnExec: boolean;
  /** Its descriptors, ascending; none of one that is only on its way in a socket. */
  readonly descriptors: DescriptorTable['descriptors'];
  /** `descriptor 3, TCP socket`, for messages. */
  readonly name: string;
}

/** How many temporary numbers are set aside for what will be 0, 1 and 2. */
export const STANDARD = 3;

/**
 * Numbers 0, 1 and 2 stay the streams of the image until everything is done, so that messages
 * reach the user. What is to be there stands at temporary numbers meanwhile.
 */
export class Bench {
  readonly places: readonly Place[];
  /** `struct statx` (256 bytes) and other small results: operations come one after the other. */
  readonly scratch: bigint;
  #next: number;
  readonly #open = new Set<number>();
  #lowest = STANDARD;
  #marks = 0;

  constructor(
    readonly arena: Arena,
    readonly table: DescriptorTable,
    readonly imageFd: number,
    firstTemporary: number,
  ) {
    this.#next = firstTemporary + STANDARD;
    this.scratch = arena.reserve(256);
    this.#open.add(imageFd);
    const byFile = new Map<number, DescriptorTable['descriptors']>();
    for (const descriptor of table.descriptors) {
      const list = byFile.get(descriptor.file);
      if (list) list.push(descriptor);
      else byFile.set(descriptor.file, [descriptor]);
    }
    const carriers = carriersOf(table);
    this.places = table.files.map((file, index) => {
      const descriptors = (byFile.get(index) ?? []).sort((a, b) => a.fd - b.fd);
      const first = descriptors.find(({ fd }) => fd >= STANDARD);
      const low = descriptors[0]?.fd;
      const spare = (): number => (low === undefined ? this.temporary() : firstTemporary + low);
      return {
        index,
        at: first?.fd ?? spare(),
        closeOnExec: first?.closeOnExec ?? true,
        descriptors,
        name: nameOf(file, low, carriers.get(index)),
      };
    });
    for (const fd of this.passedIn) this.opened(fd);
  }

  /** Numbers that whoever runs the image passes in, ascending: they are there from the start. */
  get passedIn(): number[] {
    return this.places
      .filter(({ index }) => this.table.files[index]!.kind === 'external')
      .map(({ at }) => at)
      .sort((a, b) => a - b);
  }

  /** A number that means a file while the table is made. */
  numberOf(index: number): number {
    const { descriptors, at } = this.places[index]!;
    const file = this.table.files[index]!;
    const own = descriptors[0] && descriptors.every(({ fd }) => isOwnStream(file, fd));
    return own ? descriptors[0]!.fd : at;
  }

  /** A number that nobody uses. */
  temporary(): number {
    return this.#next++;
  }

  /** A name for a mark that no other has. */
  mark(): string {
    return `descriptors-${this.#marks++}`;
  }

  /** Notes that a number is open, or not. */
  opened(fd: number): void {
    this.#open.add(fd);
  }

  closed(fd: number): void {
    this.#open.delete(fd);
    if (fd >= STANDARD && fd < this.#lowest) this.#lowest = fd;
  }

  isOpen(fd: number): boolean {
    return fd < STANDARD || this.#open.has(fd);
  }

  /**
   * Operations that make a descriptor at a number of our choice.
   * @param make the call that makes it at the lowest free number, with or without close-on-exec
   */
  create(make: (closeOnExec: boolean) => Op, at: number, closeOnExec: boolean): Op[] {
    while (this.#open.has(this.#lowest)) this.#lowest++;
    const inPlace = this.#lowest === at;
    this.opened(at);
    if (inPlace) return [withDefaults(make(closeOnExec), { kind: 'equal', expected: at })];
    const cell = this.arena.cell();
    return [withDefaults(make(true), { kind: 'ok' }, cell), duplicate(cell, at, closeOnExec), close(cell)];
  }

  /**
   * The same at a temporary number, with close-on-exec, where one of several operations makes the descriptor.
   * No such number is the lowest free one before anything stands at those for 0, 1 and 2.
   * @param make operations one of which leaves it in a cell
   */
  createByOneOf(make: (made: Cell) => Op[], temporary: number): Op[] {
    const cell = this.arena.cell();
    this.opened(temporary);
    return [...make(cell), duplicate(cell, temporary, true), close(cell)];
  }

  /** The file that a number means while the table is made; `null` for none of the table. */
  fileAt(fd: number): number | null {
    const descriptor = this.#byNumber().get(fd);
    if (!descriptor) return null;
    if (fd >= STANDARD) return descriptor.file;
    return isOwnStream(this.table.files[descriptor.file]!, fd) ? descriptor.file : null;
  }

  closeOnExecOf(fd: number): boolean {
    return this.#byNumber().get(fd)?.closeOnExec ?? fd >= STANDARD;
  }

  #numbers: Map<number, DescriptorTable['descriptors'][number]> | undefined;

  #byNumber(): Map<number, DescriptorTable['descriptors'][number]> {
    this.#numbers ??= new Map(this.table.descriptors.map((descriptor) => [descriptor.fd, descriptor]));
    return this.#numbers;
  }
}

/**
 * Number and kind, for messages.
 * @param low its lowest number, if it has one
 * @param carrier otherwise the descriptor in which it is on its way
 */
function nameOf(file: OpenFile, low: number | undefined, carrier: number | undefined): string {
  const title = modelOf(file).title(file);
  if (low !== undefined) return `descriptor ${low}, ${title}`;
  return carrier === undefined ? title : `${title} on its way in descriptor ${carrier}`;
}

/** Whether descriptor `fd` simply stays the stream of that number. */
export function isOwnStream(file: OpenFile, fd: number): boolean {
  return file.kind === 'stream' && file.stream === fd && fd < STANDARD;
}

function withDefaults(op: Op, check: Check, result?: Cell): Op {
  if (op.op === 'mark') return op;
  return { ...op, check: op.check ?? check, ...(result ? { result } : {}) };
}
