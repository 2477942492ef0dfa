/** What a kind of descriptor has to say for itself. */
import type { DescriptorTable, OpenFile } from '../../snapshot/descriptors.js';
import type { ObjectTable } from '../objects.js';
import type { Entry } from './entries.js';
import type { Outlook } from './refusal.js';
import type { Target } from './target.js';
import type { Repair } from './tcp-connections.js';

/** An open file description: the descriptors that share it, ascending; behind them those on their way in sockets. */
export interface Description {
  readonly entries: readonly Entry[];
  /** The stream that takes its place; `null` for most. */
  readonly stream: number | null;
  /** One of the descriptors 0, 1 and 2 shares it (they may be listed elsewhere). */
  readonly sharedWithStream: boolean;
}

/** A kind of descriptor. */
export interface DescriptorKind {
  /** Whether a descriptor is of this kind. Kinds are asked in the order of the table. */
  matches(entry: Entry, target: Target): boolean;
  /** Kind and path, for messages: `socket, socket:[123]`. */
  describe(entry: Entry): string;
  /** Why it cannot be carried, as far as `/proc` tells; `null` if it can. */
  problem(entry: Entry, target: Target): string | null;
  /** Options that would let it pass, beside those that let any descriptor pass. */
  choices?(entry: Entry): readonly string[];
  /**
   * Captures a description of a stopped process.
   * @throws Refusal
   */
  capture(description: Description, context: KindContext): UnlockedFile;
}

/** What is the same for all kinds, and is added later. */
type Common = 'locks' | 'lease' | 'signals' | 'owner';

/** A captured description, as its kind tells it. */
export type UnlockedFile = OpenFile extends infer F ? (F extends OpenFile ? Omit<F, Common> : never) : never;

/** What capturing needs. */
export interface KindContext {
  readonly pid: number;
  readonly target: Target;
  readonly objects: ObjectTable;
  /** Filled as pipes are found. */
  readonly pipes: DescriptorTable['pipes'];
  /** Filled as deleted directories are found. */
  readonly folders: DescriptorTable['folders'];
  readonly warnings: string[];
  /** Filled as kinds find that another attempt might do better, or worse. */
  readonly outlook: Outlook;
  /** How connections are looked at that are to be kept; `null`: they are closed. */
  readonly repair: Repair | null;
  /** Index of the file that a descriptor will have; `null` for one that is dropped. */
  fileOf(fd: number): number | null;
  /** A duplicate of the target's descriptor, which the caller closes. */
  duplicate(fd: number): number;
  /** Runs `use` with a duplicate of the target's descriptor. */
  withCopy<T>(fd: number, use: (copy: number) => T): T;
  /** Keeps a descriptor of ours open until the image is written. */
  keep(fd: number): void;
}
