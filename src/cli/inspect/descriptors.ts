import { openFlags } from '../../names.js';
import { holdLine } from '../../nftables.js';
import { modelOf } from '../../snapshot/descriptors.js';
import { reachable } from '../../snapshot/in-flight.js';
import type { Process } from '../../snapshot/schema.js';
import { escapeText } from './escape.js';
import type { Style } from './style.js';
import { table } from './table.js';

/**
 * The descriptors of a process; which of them share an open file shows by its number. Behind them what is only on
 * its way in sockets, without a number of its own.
 */
export function* descriptorLines(process: Process, style: Style): Generator<string> {
  const { descriptors, files, hold } = process.descriptors;
  yield '';
  yield style.heading(`Descriptors (${descriptors.length})`);
  if (hold !== null) yield holdLine(hold);
  const numbered = new Set(descriptors.map(({ file }) => file));
  const sent = [...reachable(files, numbered)].filter((index) => !numbered.has(index));
  yield* table(
    [...descriptors, ...sent.map((file) => ({ fd: '-', file, closeOnExec: false }))].map((descriptor) => {
      const { fd, file: index, closeOnExec } = descriptor;
      const file = files[index];
      if (!file) return [String(fd)];
      const flags = `${openFlags(file.flags)}${closeOnExec ? ' close-on-exec' : ''}`;
      const locks = file.locks.length > 0 ? `, ${file.locks.length} locks` : '';
      const lease = file.lease === undefined ? '' : `, a ${file.lease} lease`;
      const signals = file.signals === undefined ? '' : ', signals';
      const letGo = 'letGo' in file && file.letGo ? ', let go of' : '';
      const what = `${escapeText(modelOf(file).describe(file, process.descriptors))}${letGo}${locks}${lease}${signals}`;
      return [String(fd), file.kind, flags, `file ${index}`, what];
    }),
    [0],
  );
}
