import { duration, siginfoSignal, signalSet } from '../../names.js';
import { decodeRegisters, type Register } from '../../snapshot/registers.js';
import type { Process, Thread } from '../../snapshot/schema.js';
import { syscallName } from '../../thaw/signatures.js';
import { escapeText } from './escape.js';
import type { Style } from './style.js';

/** General registers as debuggers show them, four in a line. */
const BLOCK: readonly (readonly Register[])[] = [
  ['rip', 'rsp', 'eflags', 'orig_rax'],
  ['rax', 'rbx', 'rcx', 'rdx'],
  ['rsi', 'rdi', 'rbp', 'r8'],
  ['r9', 'r10', 'r11', 'r12'],
  ['r13', 'r14', 'r15', 'fs_base'],
];

/** The threads of a process with their registers, in a compact block each. */
export function* threadLines(process: Process, style: Style): Generator<string> {
  yield '';
  yield style.heading(`Threads (${process.threads.length})`);
  for (const thread of process.threads) {
    const remarks = remarksOf(thread);
    yield `  ${thread.tid} ${escapeText(thread.comm)}${remarks ? style.faint(`  ${remarks}`) : ''}`;
    const registers = decodeRegisters(thread.registers);
    for (const row of BLOCK) {
      yield `    ${row.map((name) => `${name.padEnd(8)} ${hex(registers[name])}`).join('  ')}`;
    }
  }
}

function remarksOf(thread: Thread): string {
  const { signalMask, pendingSignals, sleep, nice, policy, priority, ioPriority } = thread;
  const rows: readonly (readonly [boolean, string])[] = [
    [sleep !== null, sleep ? `in ${syscallName(sleep.number)}, ${duration(sleep.remaining)} left` : ''],
    [signalMask !== 0n, `blocked: ${signalSet(signalMask)}`],
    [pendingSignals.length > 0, `pending: ${pendingSignals.map(siginfoSignal).join(' ')}`],
    [nice !== 0, `nice ${nice}`],
    [policy !== 0, `policy ${policy}, priority ${priority}`],
    [ioPriority !== 0, `I/O class ${ioPriority >> 13}, level ${ioPriority & 7}`],
  ];
  return rows
    .filter(([shown]) => shown)
    .map(([, text]) => text)
    .join('; ');
}

function hex(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}
