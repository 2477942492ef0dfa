/** The environment block: the strings that execve(2) put on the stack, which `/proc/PID/environ` shows. */
import { ImageError } from '../errors.js';

/**
 * A block with other values. No string moves, as the program may point at each: a new one has to fit into the
 * room of the old one, and NULs fill what it leaves.
 * @throws ImageError for a name that is not there, or a value that does not fit
 */
export function rewriteEnvironment(block: Uint8Array, values: ReadonlyMap<string, string>): Uint8Array {
  const result = Buffer.from(block);
  const slots = slotsOf(result);
  for (const [name, value] of values) {
    const start = Buffer.from(`${name}=`);
    const own = slots.filter((slot) => result.subarray(slot.start, slot.end).indexOf(start) === 0);
    if (own.length === 0) {
      throw new ImageError(
        `--env ${name}: the process has no ${name} in its environment block, which cannot grow`,
      );
    }
    const text = Buffer.from(`${name}=${value}`);
    for (const slot of own) {
      const room = slot.end - slot.start - 1;
      if (text.length > room) {
        throw new ImageError(
          `--env ${name}: the new value does not fit: it takes ${text.length} bytes with its name, the old block has ${room} for it`,
        );
      }
      result.fill(0, slot.start, slot.end);
      result.set(text, slot.start);
    }
  }
  return result;
}

/** Where each string lies, with the NULs behind it. */
function slotsOf(block: Uint8Array): { start: number; end: number }[] {
  const slots: { start: number; end: number }[] = [];
  let start = 0;
  for (let at = 0; at < block.length; at++) {
    if (block[at] !== 0 || block[at + 1] === 0) continue;
    slots.push({ start, end: at + 1 });
    start = at + 1;
  }
  return slots;
}
