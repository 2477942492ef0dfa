/** The end of `--check`. */

import { PAGE_SIZE } from '../page.js';
import type { Process, Region } from '../snapshot/schema.js';
import { planAioTest } from './aio.js';
import type { Arena } from './arena.js';
import { call, MapFlag, Prot, print } from './calls.js';
import { planHugePageTest } from './huge-pages.js';
import type { PlacedRegion } from './memory.js';
import { enterFolder } from './process.js';
import { Flag, type Op } from './program.js';

/** A last test of the folder and the memory that will be needed, then the verdict. For when all else is unmapped. */
export function planVerdict(
  arena: Arena,
  process: Pick<Process, 'workingDirectory' | 'workingFolder' | 'regions' | 'objects' | 'aioContexts'>,
  regions: readonly PlacedRegion[],
): Op[] {
  const text = 'this image can be thawed here\n';
  const only = { when: Flag.CHECK } as const;
  const failed = { op: 'exit', status: 125, when: Flag.CHECK | Flag.FAILED } as const;
  const verdict: Op[] = [failed, print(arena, 1, text, only), failed, { op: 'exit', status: 0, ...only }];
  return [
    ...enterFolder(arena, process, null, only),
    ...planMemoryTest(regions, true),
    ...planMemoryTest(regions, false),
    ...planHugePageTest(process),
    ...planAioTest(arena, process),
    ...verdict,
  ];
}

/** Which limits memory counts against: RLIMIT_DATA knows no stacks, overcommitment may know no reserve. */
function sortOf({ prot, shared, flags, pageSize }: Region): 'charged' | 'stack' | 'uncharged' | 'readable' {
  if ((prot & Prot.WRITE) === 0 || shared || pageSize > PAGE_SIZE) return 'readable';
  if (flags.includes('gd')) return 'stack';
  return flags.includes('nr') ? 'uncharged' : 'charged';
}

/** Takes as much memory of each sort as will be mapped besides what stays as it was loaded. */
function planMemoryTest(regions: readonly PlacedRegion[], lazy: boolean): Op[] {
  const sizes = { charged: 0n, stack: 0n, uncharged: 0n, readable: 0n };
  for (const { region, loaded } of regions) {
    const stays = loaded && (lazy || region.backing.kind === 'image') ? loaded.end - loaded.start : 0n;
    sizes[sortOf(region)] += region.end - region.start - stays;
  }
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
  const write = Prot.READ | Prot.WRITE;
  const tests: [bigint, number, number, string][] = [
    [sizes.charged, write, flags, 'memory'],
    [sizes.stack, write, flags | MapFlag.GROWSDOWN, 'stack'],
    [sizes.uncharged, write, flags | MapFlag.NORESERVE, 'memory that is not reserved'],
    [sizes.readable, Prot.READ, flags, 'address space'],
  ];
  return tests
    .filter(([size]) => size > 0n)
    .map(([size, prot, kind, what]) =>
      call('mmap', [0, size, prot, kind, -1, 0], {
        when: Flag.CHECK | (lazy ? Flag.LAZY : 0),
        unless: lazy ? 0 : Flag.LAZY,
        label: `cannot get ${size} bytes of ${what}`,
      }),
    );
}
