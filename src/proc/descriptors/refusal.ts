/** How a descriptor is refused, and what the user can do about it. */

/** Thrown where a descriptor turns out not to be carried. */
export class Refusal extends Error {}

/**
 * `descriptor 7 (socket, socket:[123]) cannot be carried: connections ...; use --drop-fd 7, --external 7, or
 * --fd 7=PATH`
 * @param what kind and path
 */
export function refusalOf(fd: number, what: string, why: string): string {
  return `descriptor ${fd} (${what}) cannot be carried: ${why}; use --drop-fd ${fd}, --external ${fd}, or --fd ${fd}=PATH`;
}
