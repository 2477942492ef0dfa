/** Unix domain sockets. */
import type { DescriptorTable, OpenFileOf } from '../descriptors.js';
import { inFlightProblem } from '../in-flight.js';
import { fail, requireIndex } from './damage.js';

type Unix = OpenFileOf<'unix'>;

/** What it is connected to, and what waits in it, is there. @throws ImageError */
export function checkUnix(file: Unix, table: DescriptorTable, where: string): void {
  const { peer, senders, credentials, content } = file;
  if (peer !== null) {
    requireIndex(peer, table.files, `${where}.peer`);
    if (table.files[peer]!.kind !== 'unix') fail(`${where}.peer`, 'is no Unix domain socket');
  }
  if (senders.length > 0 && (!credentials || senders.length !== content.length))
    fail(`${where}.senders`, 'are not those of all that waits');
  checkPassed(file, table, where);
}

/** What is sent without a byte of a stream would not arrive, and what is sent has to be there by then. */
function checkPassed(
  { passed, content, type, peer, gone }: Unix,
  { files, descriptors }: DescriptorTable,
  where: string,
): void {
  if (passed.length === 0) return;
  if (peer === null && gone === null) fail(`${where}.passed`, 'has nobody who could have sent it');
  let next = 0;
  passed.forEach(({ message, files: carried }, i) => {
    const place = `${where}.passed[${i}]`;
    requireIndex(message, content, `${place}.message`);
    if (message < next) fail(`${place}.message`, 'is not behind the one before it');
    next = message + 1;
    if (type === 'stream' && content[message]!.length === 0) fail(place, 'goes with no byte of the stream');
    carried.forEach((index, j) => {
      requireIndex(index, files, `${place}.files[${j}]`);
      const numbered = descriptors.some(({ file }) => file === index);
      const why = inFlightProblem(files[index]!, numbered);
      if (why !== null) fail(`${place}.files[${j}]`, why);
    });
  });
}
