/** How a descriptor is refused, and what the user can do about it. */

/** Thrown where a descriptor turns out not to be carried. */
export class Refusal extends Error {
  /** @param byKind whether the options that the descriptor's kind knows would let it pass */
  constructor(
    message: string,
    readonly byKind = true,
  ) {
    super(message);
  }
}

/** Thrown for what a program usually does away with by itself, a moment later: it reads what waits, say. */
export class PassingRefusal extends Refusal {}

/** Thrown for what would be left behind with a warning, where the program may still take it first. */
export class Loss extends Refusal {}

/**
 * Warns of what is left behind, or has the program take it first, where there is the time for that.
 * @throws Loss
 */
export function leaveBehind(
  { warnings, patient }: { readonly warnings: string[]; readonly patient: boolean },
  line: string,
): void {
  if (patient) throw new Loss(line);
  warnings.push(line);
}

/**
 * `descriptor 7 (socket, socket:[123]) cannot be carried: connections ...; use --drop-fd 7, --external 7, or
 * --fd 7=PATH`
 * @param fd its number; of what is on its way in a socket, that of the descriptor that leads to it
 * @param what kind and path
 * @param more options that would let it pass as well
 * @param name for messages
 */
export function refusalOf(
  fd: number,
  what: string,
  why: string,
  more: readonly string[] = [],
  name = `descriptor ${fd}`,
): string {
  const options = [...more, `--drop-fd ${fd}`, `--external ${fd}`];
  return `${name} (${what}) cannot be carried: ${why}; use ${options.join(', ')}, or --fd ${fd}=PATH`;
}
