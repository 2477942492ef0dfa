/** `/proc/PID/smaps`: the memory map with flags, as proc(5) describes it. */

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
  flags: string[];
  pageSize: number;
  /** Of pkeys(7); 0 for most memory, and where processors have none. */
  protectionKey: number;
  /** Rss and Swap together: 0 means that the mapping has no pages of its own. */
  resident: number;
}

const LINE =
  /^([0-9a-f]+)-([0-9a-f]+) ([r-])([w-])([x-])([sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/;

/** Parses `/proc/PID/smaps` (or `/proc/PID/maps`, then without flags). */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  let current: Mapping | undefined;
  for (const line of lines(text)) {
    const match = isDetail(line) ? null : LINE.exec(line);
    if (match) {
      const [, start, end, r, w, x, s, offset, device, inode, path] = match as unknown as string[];
      current = {
        start: BigInt(`0x${start}`),
        end: BigInt(`0x${end}`),
        prot: (r === 'r' ? 1 : 0) | (w === 'w' ? 2 : 0) | (x === 'x' ? 4 : 0),
        shared: s === 's',
        offset: BigInt(`0x${offset}`),
        device: device!,
        inode: BigInt(inode!),
        // Of all characters the kernel escapes this one alone.
        path: path!.replaceAll('\\012', '\n'),
        flags: [],
        pageSize: 4096,
        protectionKey: 0,
        resident: 0,
      };
      mappings.push(current);
    } else if (current) {
      addDetail(current, line);
    }
  }
  return mappings;
}

/** One at a time: ten thousand mappings are a quarter of a million lines. */
function* lines(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at);
    const next = end < 0 ? text.length : end;
    yield text.slice(at, next);
    at = next + 1;
  }
}

/** Lines of smaps start with a capital letter, those of maps with a hexadecimal digit in lower case. */
function isDetail(line: string): boolean {
  const first = line.charCodeAt(0);
  return first >= 0x41 && first <= 0x5a;
}

function addDetail(mapping: Mapping, line: string): void {
  const colon = line.indexOf(':');
  const value = line.slice(colon + 1).trim();
  switch (line.slice(0, colon)) {
    case 'VmFlags':
      mapping.flags = value.split(' ').filter((flag) => flag.length === 2);
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
