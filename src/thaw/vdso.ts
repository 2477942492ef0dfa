/** The vDSO of the frozen process: its entry points, for `place_vdso` to patch where the kernel's differs. */
import type { Process, Region } from '../snapshot/schema.js';
import type { Arena } from './arena.js';

/** System calls that do what a vDSO entry does, for a kernel whose vDSO lacks it; -1 for none. */
const FALLBACKS: Readonly<Record<string, number>> = {
  __vdso_gettimeofday: 96,
  __vdso_time: 201,
  __vdso_clock_gettime: 228,
  __vdso_clock_getres: 229,
  __vdso_getcpu: 309,
  __vdso_getrandom: 318,
};
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_HASH = 4n;
const DT_STRTAB = 5n;
const DT_SYMTAB = 6n;
const STT_FUNC = 2;

/** Functions of a vDSO image by its dynamic symbols: name and offset. */
export function vdsoEntries(image: Uint8Array): { name: string; offset: number }[] {
  const view = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  try {
    return readEntries(view);
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

function readEntries(view: Buffer): { name: string; offset: number }[] {
  const phoff = Number(view.readBigUInt64LE(32));
  const phnum = view.readUInt16LE(56);
  let bias = 0n;
  let dynamic = -1;
  for (let i = 0; i < phnum; i++) {
    const at = phoff + i * 56;
    const type = view.readUInt32LE(at);
    if (type === PT_LOAD) bias = view.readBigUInt64LE(at + 16) - view.readBigUInt64LE(at + 8);
    if (type === PT_DYNAMIC) dynamic = Number(view.readBigUInt64LE(at + 8));
  }
  if (dynamic < 0) return [];
  const tags = new Map<bigint, bigint>();
  for (let at = dynamic; view.readBigUInt64LE(at) !== 0n; at += 16) {
    tags.set(view.readBigUInt64LE(at), view.readBigUInt64LE(at + 8));
  }
  const place = (tag: bigint): number => Number((tags.get(tag) ?? 0n) - bias);
  const count = tags.has(DT_HASH) ? view.readUInt32LE(place(DT_HASH) + 4) : 0;
  const entries: { name: string; offset: number }[] = [];
  for (let i = 1; i < count; i++) {
    const symbol = place(DT_SYMTAB) + i * 24;
    if ((view[symbol + 4]! & 15) !== STT_FUNC || view.readUInt16LE(symbol + 6) === 0) continue;
    const start = place(DT_STRTAB) + view.readUInt32LE(symbol);
    const name = view.toString('latin1', start, view.indexOf(0, start));
    entries.push({ name, offset: Number(view.readBigUInt64LE(symbol + 8) - bias) });
  }
  return entries;
}

/** `struct vdso_plan` in the arena; its address. */
export function vdsoPlan(arena: Arena, process: Process): bigint {
  const vdso = process.regions.find((region) => region.backing.kind === 'vdso');
  const vvars = process.regions.filter((region) => region.backing.kind === 'vvar');
  const image = vdso?.backing.kind === 'vdso' ? vdso.backing.image : new Uint8Array();
  const entries = vdsoEntries(image);
  const table = Buffer.alloc(entries.length * 16);
  entries.forEach(({ name, offset }, i) => {
    table.writeBigUInt64LE(arena.string(name), i * 16);
    table.writeUInt32LE(offset, i * 16 + 8);
    table.writeInt32LE(FALLBACKS[name] ?? FALLBACKS[`__vdso_${name}`] ?? -1, i * 16 + 12);
  });
  const words = [
    vdso?.start ?? 0n,
    size(vdso),
    arena.bytes(image, 4096),
    vvars[0]?.start ?? 0n,
    vvars.reduce((sum, region) => sum + size(region), 0n),
    arena.bytes(table),
    BigInt(entries.length),
  ];
  const bytes = Buffer.alloc(words.length * 8);
  words.forEach((word, i) => {
    bytes.writeBigUInt64LE(word, i * 8);
  });
  return arena.bytes(bytes);
}

function size(region: Region | undefined): bigint {
  return region ? region.end - region.start : 0n;
}
