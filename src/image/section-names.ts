import type { Region } from '../snapshot/schema.js';

/** What a region is called by its permissions, as a linker would call it. */
const KINDS: readonly (readonly [number, string])[] = [
  [4, '.text'],
  [2, '.data'],
  [1, '.rodata'],
  [0, '.none'],
];

/** The kernel's names of mappings that are sections of their own. */
const SPECIAL = new Map([
  ['[heap]', '.heap'],
  ['[stack]', '.stack'],
  ['[vdso]', '.vdso'],
  ['[vvar]', '.vvar'],
]);

/**
 * Readable names of sections for regions: `.text:/usr/bin/cat`, `.heap`, `.data@7f1200000000` for
 * anonymous memory. The address goes behind a path that has come before.
 */
export function sectionNames(regions: readonly Pick<Region, 'start' | 'prot' | 'path'>[]): string[] {
  const used = new Set<string>();
  return regions.map(({ start, prot, path }) => {
    const kind = KINDS.find(([bit]) => bit === 0 || prot & bit)?.[1] ?? '.none';
    const plain = SPECIAL.get(path) ?? (path ? `${kind}:${printable(path)}` : '');
    const name = plain && !used.has(plain) ? plain : `${plain || kind}@${start.toString(16)}`;
    used.add(name);
    return name;
  });
}

/** Paths may hold any byte; tools print section names as they are. */
function printable(path: string): string {
  return path.replace(/[^\x21-\x7e\u00a0-\u{10ffff}]|\p{Cs}/gu, '_');
}
