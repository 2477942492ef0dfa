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

/** What one attempt to capture has come to, beside its outcome: whether another one might do better. */
export interface Outlook {
  /** How often something is left behind that the program may yet take, if it runs for a moment. */
  losses: number;
  /** It has looked at what the kernel shows only once: another attempt would find less. */
  unrepeatable: boolean;
}

/** Warns of what is left behind, and notes that the program might take it first. */
export function leaveBehind(
  { warnings, outlook }: { readonly warnings: string[]; readonly outlook: Outlook },
  line: string,
): void {
  outlook.losses++;
  warnings.push(line);
}

/** Notes whether there were empty messages, which the kernel no longer shows by an offset once they were looked at. */
export function noteEmpty({ outlook }: { readonly outlook: Outlook }, contents: readonly Uint8Array[]): void {
  if (contents.some(({ length }) => length === 0)) outlook.unrepeatable = true;
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
