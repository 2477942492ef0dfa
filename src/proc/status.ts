/** `/proc/PID/status` and `/proc/PID/stat`: fields by name, as proc(5) numbers them. */

/** Fields of a status file; values as text. */
export type Status = ReadonlyMap<string, string>;

/** Parses `/proc/PID/status` or `/proc/PID/task/TID/status`. */
export function parseStatus(text: string): Status {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return fields;
}

/** A field that the kernel always writes. */
export function field(status: Status, name: string): string {
  const value = status.get(name);
  if (value === undefined) throw new Error(`no field ${name} in /proc/PID/status`);
  return value;
}

/** A field of decimal numbers divided by white space. */
export function numbers(status: Status, name: string): number[] {
  return field(status, name).split(/\s+/).filter(Boolean).map(Number);
}

/** A field in hexadecimal, such as a signal or capability set. */
export function hex(status: Status, name: string): bigint {
  return BigInt(`0x${field(status, name)}`);
}

/** What is used of `/proc/PID/stat`. Addresses are 0 without ptrace access. */
export interface Stat {
  state: string;
  parent: number;
  group: number;
  session: number;
  flags: number;
  nice: number;
  processor: number;
  policy: number;
  priority: number;
  startTime: bigint;
  startCode: bigint;
  endCode: bigint;
  startStack: bigint;
  startData: bigint;
  endData: bigint;
  startBrk: bigint;
  argStart: bigint;
  argEnd: bigint;
  envStart: bigint;
  envEnd: bigint;
}

/** Parses `/proc/PID/stat`; the command's name may hold blanks and parentheses. */
export function parseStat(text: string): Stat {
  // Field 3 is the first behind the last ')': so field n is rest[n - 3].
  const rest = text
    .slice(text.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
  const at = (n: number): string => rest[n - 3] ?? '0';
  return {
    state: at(3),
    parent: Number(at(4)),
    group: Number(at(5)),
    session: Number(at(6)),
    flags: Number(at(9)),
    nice: Number(at(19)),
    startTime: BigInt(at(22)),
    startCode: BigInt(at(26)),
    endCode: BigInt(at(27)),
    startStack: BigInt(at(28)),
    processor: Number(at(39)),
    priority: Number(at(40)),
    policy: Number(at(41)),
    startData: BigInt(at(45)),
    endData: BigInt(at(46)),
    startBrk: BigInt(at(47)),
    argStart: BigInt(at(48)),
    argEnd: BigInt(at(49)),
    envStart: BigInt(at(50)),
    envEnd: BigInt(at(51)),
  };
}
