/** `/proc/PID/smaps`: the memory map with flags, as proc(5) describes it. */
import { readProcLines } from './read.js';

/** One line of `/proc/PID/maps` with what smaps adds. Sizes in bytes. */
export interface Mapping {
  start: bigint;
  end: bigint;
  prot: number;
  shared: boolean;
  offset: bigint;
  device: string;
  inode: bigint;
  path: string;
  /** Two-letter codes of `VmFlags`. */
  flags: readonly string[];
  pageSize: number;
  /** Of pkeys(7); 0 for most memory, and where processors have none. */
  protectionKey: number;
  /** Rss and Swap together: 0 means that the mapping has no pages of its own. */
  resident: number;
}

const LINE =
  /^([0-9a-f]+)-([0-9a-f]+) ([r-])([w-])([x-])([sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/s;

/**
 * Reads the memory map of a process, from `maps` without flags and the like.
 * @throws TargetError, PermissionError
 */
export function readMappings(pid: number, name: 'smaps' | 'maps'): Mapping[] {
  return [...parseMaps(readProcLines(pid, name))];
}

/** Parses lines of `/proc/PID/smaps` (or `/proc/PID/maps`), one at a time: ten thousand mappings have a quarter of a million. */
export function* parseMaps(lines: Iterable<string>): Generator<Mapping> {
  const known = new Known();
  let current: Mapping | undefined;
  for (const line of lines) {
    const match = isDetail(line) ? null : LINE.exec(line);
    if (match) {
      if (current) yield current;
      const [, start, end, r, w, x, s, offset, device, inode, path] = match as unknown as string[];
      current = {
        start: BigInt(`0x${start}`),
        end: BigInt(`0x${end}`),
        prot: (r === 'r' ? 1 : 0) | (w === 'w' ? 2 : 0) | (x === 'x' ? 4 : 0),
        shared: s === 's',
        offset: BigInt(`0x${offset}`),
        device: known.text(device!),
        inode: BigInt(inode!),
        // Of all characters the kernel escapes this one alone.
        path: known.text(path!.replaceAll('\\012', '\n')),
        flags: [],
        pageSize: 4096,
        protectionKey: 0,
        resident: 0,
      };
    } else if (current) {
      addDetail(current, line, known);
    }
  }
  if (current) yield current;
}

/** What many mappings have alike, once for all of them. */
class Known {
  readonly #texts = new Map<string, string>();
  readonly #flags = new Map<string, readonly string[]>();

  /** The same text, but not a slice, which would keep all of what it was cut from. */
  text(slice: string): string {
    let text = this.#texts.get(slice);
    if (text === undefined) {
      text = Buffer.from(slice, 'utf16le').toString('utf16le');
      this.#texts.set(text, text);
    }
    return text;
  }

  flags(line: string): readonly string[] {
    let flags = this.#flags.get(line);
    if (flags === undefined) {
      const text = this.text(line);
      flags = text.split(' ').filter((flag) => flag.length === 2);
      this.#flags.set(text, flags);
    }
    return flags;
  }
}

/** Lines of smaps start with a capital letter, those of maps with a hexadecimal digit in lower case. */
function isDetail(line: string): boolean {
  const first = line.charCodeAt(0);
  return first >= 0x41 && first <= 0x5a;
}

function addDetail(mapping: Mapping, line: string, known: Known): void {
  const colon = line.indexOf(':');
  const value = line.slice(colon + 1).trim();
  switch (line.slice(0, colon)) {
    case 'VmFlags':
      mapping.flags = known.flags(value);
      break;
    case 'KernelPageSize':
      mapping.pageSize = Number.parseInt(value, 10) * 1024;
      break;
    case 'ProtectionKey':
      mapping.protectionKey = Number.parseInt(value, 10);
      break;
    case 'Rss':
    case 'Swap':
    case 'Shared_Hugetlb':
    case 'Private_Hugetlb':
      mapping.resident += Number.parseInt(value, 10) * 1024;
      break;
    default:
  }
}
