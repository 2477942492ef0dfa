/** What the user decided about descriptors: `--drop-fd N`, `--fd N=...`, `--external N`, `--unix-peer` and `--pty-peer`. */
import { resolve } from 'node:path';
import { UsageError } from '../../errors.js';

/** Choices by descriptor number. */
export interface DescriptorChoices {
  /** Closed in the image. */
  readonly drop: ReadonlySet<number>;
  /** Opened by this absolute path at thaw, with the access mode that the descriptor has. */
  readonly replace: ReadonlyMap<number, string>;
  /** Passed in by whoever starts the image: 0, 1 and 2 as its streams, others under their number. */
  readonly inherit: ReadonlySet<number>;
  /** What becomes of TCP connections; by default they are closed. */
  readonly tcp?: TcpChoice;
  /**
   * Unix domain sockets that are connected to other processes: `refuse`, the default, or `close`: the
   * resumed program can read what had arrived, and finds the other end closed.
   */
  readonly unixPeer?: UnixPeer;
  /**
   * Pseudoterminals whose slave other processes have: `refuse`, the default, or `close`: the resumed program finds
   * it closed, as if they had ended.
   */
  readonly ptyPeer?: PtyPeer;
}

/** `--tcp`: the resumed program finds its connections closed, or they are kept. */
export type TcpChoice = 'close' | 'keep';

/** See {@link DescriptorChoices.unixPeer}. */
export type UnixPeer = 'close' | 'refuse';

/** See {@link DescriptorChoices.ptyPeer}. */
export type PtyPeer = 'close' | 'refuse';

/** No choices: what cannot be carried is refused. */
export const NO_CHOICES: DescriptorChoices = { drop: new Set(), replace: new Map(), inherit: new Set() };

/** What `--fd N=null` opens. */
export const NULL_DEVICE = '/dev/null';

/**
 * Reads the values of the options.
 * @param drop values of `--drop-fd`, each a number
 * @param fd values of `--fd`, each `N=PATH`, `N=inherit`, `N=null` or `N=drop`; a relative path starts at `folder`
 * @param external values of `--external`, each a number
 * @throws UsageError for what is none of these, and for a descriptor that two options speak of
 */
export function parseChoices(
  drop: readonly (string | number)[],
  fd: readonly string[],
  folder: string = process.cwd(),
  external: readonly (string | number)[] = [],
): DescriptorChoices {
  const choices = { drop: new Set<number>(), replace: new Map<number, string>(), inherit: new Set<number>() };
  const said = new Map<number, string>();
  const choose = (number: number, option: string): void => {
    const before = said.get(number);
    if (before !== undefined && before !== option) {
      throw new UsageError(`${option}: ${before} was said of descriptor ${number}, too`);
    }
    said.set(number, option);
  };
  for (const value of drop) {
    const number = parseNumber(String(value), '--drop-fd');
    choose(number, `--drop-fd ${number}`);
    choices.drop.add(number);
  }
  for (const value of external) {
    const number = parseNumber(String(value), '--external');
    choose(number, `--external ${number}`);
    choices.inherit.add(number);
  }
  for (const value of fd) {
    const equals = value.indexOf('=');
    if (equals < 0 || equals === value.length - 1) {
      throw new UsageError(`--fd ${value}: say --fd N=PATH, N=inherit, N=null or N=drop`);
    }
    const number = parseNumber(value.slice(0, equals), '--fd');
    choose(number, `--fd ${value}`);
    const what = value.slice(equals + 1);
    if (what === 'drop') choices.drop.add(number);
    else if (what === 'inherit') choices.inherit.add(number);
    else choices.replace.set(number, what === 'null' ? NULL_DEVICE : resolve(folder, what));
  }
  return choices;
}

/** The choices as the user said them, ascending; for messages. */
export function optionsOf({ drop, replace, inherit }: DescriptorChoices): { fd: number; option: string }[] {
  return [
    ...[...drop].map((fd) => ({ fd, option: `--drop-fd ${fd}` })),
    ...[...replace].map(([fd, path]) => ({ fd, option: `--fd ${fd}=${path}` })),
    ...[...inherit].map((fd) => ({ fd, option: `--external ${fd}` })),
  ].sort((a, b) => a.fd - b.fd);
}

/** Reads the value of `--tcp`. @throws UsageError */
export function parseTcp(text: string): TcpChoice {
  if (text === 'close' || text === 'keep') return text;
  throw new UsageError(`--tcp ${text}: say --tcp close or --tcp keep`);
}

/** Reads the value of `--unix-peer`. @throws UsageError */
export function parseUnixPeer(text: string): UnixPeer {
  if (text === 'close' || text === 'refuse') return text;
  throw new UsageError(`--unix-peer ${text}: say --unix-peer close or --unix-peer refuse`);
}

/** Reads the value of `--pty-peer`. @throws UsageError */
export function parsePtyPeer(text: string): PtyPeer {
  if (text === 'close' || text === 'refuse') return text;
  throw new UsageError(`--pty-peer ${text}: say --pty-peer close or --pty-peer refuse`);
}

function parseNumber(text: string, option: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new UsageError(`${option} ${text}: ${JSON.stringify(text)} is no descriptor number`);
  return Number(text);
}
