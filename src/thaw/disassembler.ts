/** The listing of thaw programs: what an image will do when it is run, as strace would show it. */
import { quoted } from '../byte-text.js';
import { errnoName } from './errno.js';
import { BUILTINS, Flag } from './program.js';
import { type RawOp, readPrograms, type ThawMemory, type ThawPrograms } from './read-programs.js';
import { showCell, showSyscall } from './signatures.js';

/**
 * Lists all programs of a thaw data segment, line by line. What is shown is made from the operands
 * themselves, not from the texts that the image brings along.
 * @param bytes content of the segment
 * @param address of its first byte
 * @param header address of `struct thaw_header`
 * @throws ImageError where the bytes are no programs
 */
export function* disassemble(bytes: Uint8Array, address: bigint, header: bigint): Generator<string> {
  const thaw = readPrograms(bytes, address, header);
  yield* listOptions(thaw);
  for (const [i, program] of thaw.programs.entries()) {
    const usage = i === thaw.usageProgram ? ', run on an unknown argument' : '';
    yield '';
    yield `program ${i}: ${program.name} (${program.count} operations${usage})`;
    let index = 0;
    for (const op of program.ops()) yield `${String(index++).padStart(6)}  ${describe(op, thaw)}`;
  }
}

const FLAG_NAMES = Object.entries(Flag).map(([name, bit]) => [name.toLowerCase(), bit] as const);

function flags(value: number): string {
  const names = FLAG_NAMES.filter(([, bit]) => value & bit).map(([name]) => name);
  const unknown = FLAG_NAMES.reduce((rest, [, bit]) => rest & ~bit, value);
  if (unknown !== 0) names.push(`0x${(unknown >>> 0).toString(16)}`);
  return names.join('+');
}

function* listOptions({ options, flags: set }: ThawPrograms): Generator<string> {
  if (set !== 0) yield `flags at the start: ${flags(set)}`;
  for (const { name, set, clear, program } of options) {
    const does = [
      ...(set !== 0 ? [`sets ${flags(set)}`] : []),
      ...(clear !== 0 ? [`clears ${flags(clear)}`] : []),
      ...(program !== null ? [`runs program ${program}`] : []),
    ];
    yield `option ${name}: ${does.join(', ') || 'does nothing'}`;
  }
}

/** One operation: condition, call, result, what is checked, and the label. */
function describe(op: RawOp, thaw: ThawPrograms): string {
  const parts = [showOp(op, thaw)];
  if (op.result !== 0n) parts.push(`-> ${showCell(op.result)}`);
  if (op.when !== 0) parts.push(`when ${flags(op.when)}`);
  if (op.unless !== 0) parts.push(`unless ${flags(op.unless)}`);
  parts.push(...showCheck(op));
  if (op.label !== null) parts.push(`# ${op.label}`);
  return parts.join('  ');
}

function showCheck(op: RawOp): string[] {
  const on = op.jump === null || op.kind === 'jump' ? '' : ` => ${op.jump}`;
  const value = op.kind === 'syscall' && op.expected > 0xffffn ? hex(op.expected) : String(op.expected);
  switch (op.check) {
    case 'none':
      return ['any result'];
    case 'equal':
      return [`${on ? 'unless' : 'must be'} ${value}${on}`];
    case 'atleast':
      return [`${on ? 'unless' : 'must be'} >= ${value}${on}`];
    case 'ok': {
      const names = op.tolerated.map((number) => (number === -1 ? 'any error' : errnoName(number)));
      return names.length > 0 ? [`${on ? 'on' : 'tolerates'} ${names.join('|')}${on}`] : [];
    }
  }
}

function hex(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16)}`;
}

function showOp(op: RawOp, thaw: ThawPrograms): string {
  const shown = op.args.map((value, i) => (op.indirect & (1 << i) ? showCell(value) : hex(value)));
  const number = (i: number): string => (op.indirect & (1 << i) ? shown[i]! : String(op.args[i]));
  switch (op.kind) {
    case 'syscall':
      return showSyscall(op.number, op.args, op.indirect, (address) => thaw.memory.tryString(address));
    case 'read':
      return `pread64(${number(0)}, ${shown[1]}, ${number(2)}, ${number(3)})`;
    case 'test':
      return `*(u${widthOf(op)} *)${shown[0]} & ${shown[2]}`;
    case 'compare':
      return `memcmp(${shown[0]}, ${shown[1]}, ${number(2)})`;
    case 'store':
      return `*(u${widthOf(op)} *)${shown[0]} = ${shown[2]}`;
    case 'builtin':
      return showBuiltin(op, shown, thaw.memory);
    case 'spawn':
      return `clone3({set_tid=${number(1)}, stack_top=${shown[2]}}) running program ${op.args[0]} (${thaw.programs[Number(op.args[0])]!.name})`;
    case 'barrier':
      return `barrier(${shown[0]}, ${number(1)} threads)`;
    case 'jump':
      return `goto ${op.jump}`;
    case 'exit':
      return `exit_group(${number(0)})`;
  }
}

/** Bits that a load or store moves; the interpreter takes any unknown width for 8 bytes. */
function widthOf(op: RawOp): number {
  const width = Number(op.args[1]);
  return [1, 2, 4].includes(width) ? width * 8 : 64;
}

/** Operands of each built-in; `n`: a number, `x`: an address or mask, `s`: a string. */
const BUILTIN_OPERANDS: Readonly<Record<(typeof BUILTINS)[number], string>> = {
  xcr0: 'x',
  time_namespace: 'nn',
  become: 'nx',
  park_vdso: 'xn',
  place_vdso: 'x',
  convert_xstate: 'x',
  fix_tid: 'xnx',
  timer_create: 'nxn',
  resume: 'xx',
  finish: 'x',
  open_execfn: 'x',
  note: 's',
  raise_limit: 'nn',
  set_limit: 'nnn',
  say_ids: 'nn',
  advance_ring: 'xnnn',
  advance_uring: 'x',
  own_folder: 'x',
};

function showBuiltin(op: RawOp, shown: readonly string[], memory: ThawMemory): string {
  const name = BUILTINS[op.number - 1]!;
  const operands = [...BUILTIN_OPERANDS[name]].map((kind, i) => {
    if (op.indirect & (1 << i) || kind === 'x') return shown[i];
    if (kind === 'n') return String(BigInt.asIntN(64, op.args[i]!));
    const text = memory.tryString(op.args[i]!);
    return text === null ? 'null' : quoted(text);
  });
  return `${name}(${operands.join(', ')})`;
}
