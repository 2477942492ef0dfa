/** errno numbers by name. */
import { constants } from 'node:os';

const NUMBERS: Readonly<Record<string, number>> = constants.errno;

/** Number of an errno name, above zero. @throws Error for an unknown name */
export function errnoNumber(name: string): number {
  const number = NUMBERS[name];
  if (number === undefined) throw new Error(`no errno ${name}`);
  return number;
}
