/** System calls as operations, with the text that strace would print for them. */
import type { Arena } from './arena.js';
import type { Cell, Check, Op, OpBase, Operand } from './program.js';

/** `PROT_*` of mmap(2). */
export const Prot = { READ: 1, WRITE: 2, EXEC: 4 } as const;
/** `MAP_*` of mmap(2). */
export const MapFlag = {
  SHARED: 0x1,
  PRIVATE: 0x2,
  DROPPABLE: 0x8,
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  GROWSDOWN: 0x100,
  NORESERVE: 0x4000,
  STACK: 0x20000,
  HUGETLB: 0x40000,
} as const;
const MAP_HUGE_SHIFT = 26;
/** `MREMAP_*` of mremap(2). */
export const Mremap = { MAYMOVE: 1, FIXED: 2 } as const;

type Names = Readonly<Record<string, number>>;

/** `A|B`, or the number where a bit has no name. */
export function flagNames(value: number, names: Names, none: string): string {
  const parts: string[] = [];
  let rest = value;
  for (const [name, bit] of Object.entries(names)) {
    if (bit !== 0 && (rest & bit) === bit) {
      parts.push(name);
      rest &= ~bit;
    }
  }
  if (rest !== 0) parts.push(`0x${(rest >>> 0).toString(16)}`);
  return parts.length > 0 ? parts.join('|') : none;
}

const PROT_NAMES: Names = { PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 };
const MAP_NAMES: Names = Object.fromEntries(
  Object.entries(MapFlag).map(([name, bit]) => [`MAP_${name}`, bit]),
);

/** Prints all of a text, ASCII or not; what cannot be said is a failure. */
export function print(arena: Arena, fd: number, text: string, extra: Extra = {}): Op {
  const length = Buffer.byteLength(text);
  return call('write', [fd, arena.string(text), length], {
    ...{ label: `cannot write to ${fd === 1 ? 'standard output' : 'standard error'}` },
    ...{ check: { kind: 'equal', expected: length }, ...extra },
  });
}

/** PROT_* names. */
export function protNames(prot: number): string {
  return flagNames(prot, PROT_NAMES, 'PROT_NONE');
}

/** An operand as strace prints it. */
export function show(operand: Operand): string {
  if (typeof operand === 'object') return `[0x${operand.cell.toString(16)}]`;
  if (typeof operand === 'bigint') return operand === 0n ? 'NULL' : `0x${operand.toString(16)}`;
  return String(operand);
}

/** What most calls take besides their arguments. */
export type Extra = Omit<OpBase, 'text'> & { text?: string };

/** Any system call. */
export function call(name: string, args: readonly Operand[], extra: Extra = {}): Op {
  return { op: 'syscall', name, args, text: `${name}(${args.map(show).join(', ')})`, ...extra };
}

/** mmap(2) at a fixed address; must return it. */
export function mapFixed(
  range: { start: bigint; end: bigint },
  prot: number,
  flags: number,
  fd: Operand,
  offset: bigint | number,
  extra: Extra,
): Op {
  const size = range.end - range.start;
  const shown = flags & ((1 << MAP_HUGE_SHIFT) - 1);
  return {
    op: 'syscall',
    name: 'mmap',
    args: [range.start, size, prot, flags | MapFlag.FIXED, fd, offset],
    check: { kind: 'equal', expected: range.start },
    text: `mmap(${show(range.start)}, ${size}, ${protNames(prot)}, ${flagNames(shown | MapFlag.FIXED, MAP_NAMES, '0')}, ${show(fd)}, ${offset})`,
    ...extra,
  };
}

/** MAP_HUGETLB with the page size, in bytes. */
export function hugePages(pageSize: number): number {
  return MapFlag.HUGETLB | (Math.log2(pageSize) << MAP_HUGE_SHIFT);
}

/** mprotect(2). */
export function protect(range: { start: bigint; end: bigint }, prot: number, extra: Extra): Op {
  const size = range.end - range.start;
  return {
    ...call('mprotect', [range.start, size, prot], extra),
    text: `mprotect(${show(range.start)}, ${size}, ${protNames(prot)})`,
  } as Op;
}

/** prctl(2) by name. */
export function prctl(name: string, option: number, args: readonly Operand[], extra: Extra = {}): Op {
  const all = [...args, 0, 0, 0, 0].slice(0, 4);
  return call('prctl', [option, ...all], {
    text: `prctl(${[name, ...args.map(show)].join(', ')})`,
    ...extra,
  });
}

/** What a test of a field may have, too. `jump`: where to go on if it is not what is expected. */
export type FieldExtra = OpBase & { readonly jump?: string };

/** Tests whether a number in memory, unsigned, is what is expected. */
export function testField(address: Operand, width: 1 | 2 | 4, expected: number, extra: FieldExtra): Op {
  const { jump, ...rest } = extra;
  return {
    ...{ op: 'test', address, width, mask: (1n << BigInt(width * 8)) - 1n },
    check: { kind: 'equal', expected, ...(jump === undefined ? {} : { jump }) },
    ...rest,
  };
}

/** A check that goes on after any of these errors. */
export function tolerate(...tolerated: string[]): Check {
  return { kind: 'ok', tolerated };
}

/** The result of a call, kept for later ones. */
export function into(result: Cell, extra: Extra = {}): Extra {
  return { result, ...extra };
}
