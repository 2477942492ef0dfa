/** How a descriptor is refused, and what the user can do about it. */

/** Thrown where a descriptor turns out not to be carried. */
export class Refusal extends Error {}

/**
 * `descriptor 7 (socket, socket:[123]) cannot be carried: connections ...; use --drop-fd 7, --external 7, or
 * --fd 7=PATH`
 * @param what kind and path
 * @param more options that would let it pass as well
 */
export function refusalOf(fd: number, what: string, why: string, more: readonly string[] = []): string {
  const options = [...more, `--drop-fd ${fd}`, `--external ${fd}`];
  return `descriptor ${fd} (${what}) cannot be carried: ${why}; use ${options.join(', ')}, or --fd ${fd}=PATH`;
}
