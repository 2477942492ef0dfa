/** The terminal: its modes as they were, and a hint to draw everything anew. */
import { call } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';

const TIOCGPGRP = 0x540f;
const TCSETS2 = 0x402c542b;

/**
 * Sets the modes of the first stream that was a terminal and is one now, unless the process is in
 * its background, where they are another's; then `redraw` runs. SIGTTOU is blocked while an image is
 * thawed.
 */
export function planTerminal(bench: Bench, redraw: readonly Op[]): Op[] {
  const { terminal, files } = bench.table;
  if (!terminal) return [];
  const streams = new Set(
    files.flatMap((file) => (file.kind === 'stream' && file.was.startsWith('terminal') ? [file.stream] : [])),
  );
  const modes = bench.arena.bytes(terminal.modes);
  const done = bench.mark();
  return [
    ...[...streams].sort().flatMap((stream) => setModes(stream, modes, done, redraw, bench)),
    { op: 'mark', name: done },
  ];
}

function setModes(stream: number, modes: bigint, done: string, redraw: readonly Op[], bench: Bench): Op[] {
  const { arena } = bench;
  const [set, next] = [bench.mark(), bench.mark()];
  const foreground = arena.cell();
  const group = arena.cell();
  return [
    // ENOTTY: no terminal, or one that does not control us, where nobody is in the background.
    call('ioctl', [stream, TIOCGPGRP, foreground.cell], {
      check: { kind: 'ok', tolerated: ['ENOTTY', 'EBADF', 'EIO'], jump: set },
      text: `ioctl(${stream}, TIOCGPGRP)`,
    }),
    call('getpgid', [0], { result: group }),
    {
      op: 'compare',
      left: foreground.cell,
      right: group.cell,
      size: 4,
      check: { kind: 'equal', expected: 0, jump: done },
      text: 'compare foreground process group, own process group',
    },
    { op: 'mark', name: set },
    call('ioctl', [stream, TCSETS2, modes], {
      check: { kind: 'ok', tolerated: ['ENOTTY', 'EBADF', 'EIO', 'EINVAL'], jump: next },
      text: `ioctl(${stream}, TCSETS2)`,
    }),
    ...redraw,
    { op: 'jump', to: done },
    { op: 'mark', name: next },
  ];
}
