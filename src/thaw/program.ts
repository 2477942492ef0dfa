/**
 * Thaw programs as the planner writes them: flat lists of operations with absolute addresses.
 * `assembler.ts` turns them into the structures of `native/interpreter/program.h`.
 */

/** A `u64` in the thaw data segment whose content, at run time, is the operand. */
export interface Cell {
  readonly cell: bigint;
}

/** A constant, or a cell. */
export type Operand = bigint | number | Cell;

/** Bits of the header's flags word; see `FLAG_*` in `program.h`. */
export const Flag = {
  VERBOSE: 1 << 0,
  CHECK: 1 << 1,
  LAZY: 1 << 2,
  PID_SAME: 1 << 3,
  PID_NEW: 1 << 4,
  NEW_IDS: 1 << 5,
  FOREIGN_VDSO: 1 << 6,
  TIME_NAMESPACE: 1 << 7,
  FAILED: 1 << 8,
  SCRATCH: 1 << 9,
  PTS_NEW: 1 << 10,
  DATAGRAMS_DROP: 1 << 11,
  EVENTS_DROP: 1 << 12,
} as const;

/** Names of the built-ins, in the order of their numbers from 1; see `BUILTIN_*` in `program.h`. */
export const BUILTINS = [
  'xcr0',
  'time_namespace',
  'become',
  'park_vdso',
  'place_vdso',
  'convert_xstate',
  'fix_tid',
  'timer_create',
  'resume',
  'finish',
  'open_execfn',
  'note',
  'raise_limit',
  'set_limit',
  'say_ids',
  'advance_ring',
  'advance_uring',
  'own_folder',
] as const;
/** Name of a function of the interpreter. */
export type Builtin = (typeof BUILTINS)[number];

/** What the result of an operation must be. */
export type Check =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'ok';
      /** errno names (at most four) on which the program goes on, at `jump` where given; with a `jump` alone, any. */
      readonly tolerated?: readonly string[];
      /** Name of a `mark` operation of this program. */
      readonly jump?: string;
    }
  | {
      readonly kind: 'equal' | 'atleast';
      readonly expected: bigint | number;
      /** Name of a `mark`: where the program goes on if this does not hold; without it, that is a failure. */
      readonly jump?: string;
    };

/** What every operation may have, whatever its kind. */
export interface OpBase {
  readonly check?: Check; // default: { kind: 'ok' }
  /** Runs only if all these flags are set. */
  readonly when?: number;
  /** Skipped if any of these flags is set. */
  readonly unless?: number;
  /** Where the value goes. */
  readonly result?: Cell;
  /** The step, for messages: `cannot reopen /srv/log (descriptor 3)`. */
  readonly label?: string;
  /** Why, where a failure has no errno: `the file is shorter than the offset 20`. */
  readonly reason?: string;
  /** The operation as strace would print it; without it the assembler writes a plain one. */
  readonly text?: string;
}

/** One operation. `mark` takes no space: it names a place to jump to. */
export type Op =
  | (OpBase & { readonly op: 'syscall'; readonly name: string; readonly args: readonly Operand[] })
  | (OpBase & {
      readonly op: 'read';
      readonly fd: Operand;
      readonly address: Operand;
      readonly size: number | bigint;
      readonly offset: bigint;
    })
  | (OpBase & {
      readonly op: 'test';
      readonly address: Operand;
      readonly width: 1 | 2 | 4 | 8;
      readonly mask: bigint;
    })
  | (OpBase & {
      readonly op: 'compare';
      readonly left: Operand;
      readonly right: Operand;
      readonly size: number;
    })
  | (OpBase & {
      readonly op: 'store';
      readonly address: Operand;
      readonly width: 1 | 2 | 4 | 8;
      readonly value: Operand;
    })
  | (OpBase & { readonly op: 'builtin'; readonly name: Builtin; readonly args: readonly Operand[] })
  | (OpBase & {
      readonly op: 'spawn';
      readonly program: number;
      readonly tid: Operand;
      readonly stackTop: bigint;
    })
  | (OpBase & { readonly op: 'barrier'; readonly address: bigint; readonly parties: number })
  | (OpBase & { readonly op: 'jump'; readonly to: string })
  | (OpBase & { readonly op: 'exit'; readonly status: number })
  | { readonly op: 'mark'; readonly name: string };

/** A program: a name for listings (`main`, `thread 4242`) and its operations. */
export interface Program {
  readonly name: string;
  readonly ops: Iterable<Op>;
}

/** An option of the image's command line. */
export interface ImageOption {
  readonly name: string;
  readonly set?: number;
  readonly clear?: number;
  /** Index of a program that runs instead of the main one. */
  readonly program?: number;
  /** Takes, at run time, the address of the argument that follows. */
  readonly value?: Cell;
}
