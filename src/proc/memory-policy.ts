/**
 * Memory policies (set_mempolicy(2), mbind(2), numactl(8)): on which nodes of a NUMA machine pages shall
 * lie. They speak of the nodes of one machine, and an image does not carry them.
 */
import { readFileSync } from 'node:fs';

/** Names of `MPOL_*`, `linux/mempolicy.h`, by number, as `/proc/PID/numa_maps` has them. */
const MODES = ['default', 'prefer', 'bind', 'interleave', 'local', 'prefer (many)', 'weighted interleave'];
const FLAGS: readonly (readonly [flag: number, name: string])[] = [
  [1 << 15, 'static'],
  [1 << 14, 'relative'],
];
const MODE_MASK = 0xff;
/** Bytes of a set of nodes, and how many there can be. */
export const NODES_SIZE = 128;
export const MOST_NODES = NODES_SIZE * 8;

/** A warning if there are any policies. @param policies as `/proc/PID/numa_maps` has them */
export function memoryPolicyWarnings(policies: Iterable<string>): string[] {
  const found = [...new Set(policies)];
  return found.length === 0
    ? []
    : [
        `memory policies are not carried (${found.join(', ')}): numactl can give the image one for all of its memory`,
      ];
}

/**
 * What a thread has chosen, by get_mempolicy(2), as `/proc/PID/numa_maps` has it; `null`: nothing.
 * @param nodes a bit for each
 */
export function policyText(mode: number, nodes: Uint8Array): string | null {
  if (mode === 0) return null;
  const name = MODES[mode & MODE_MASK] ?? `policy ${mode & MODE_MASK}`;
  const flags = FLAGS.filter(([flag]) => mode & flag).map(([, text]) => `=${text}`);
  const chosen = nodeList(nodes);
  return [name, ...flags, ...(chosen === '' ? [] : [`:${chosen}`])].join('');
}

/** `0-1,3` */
function nodeList(nodes: Uint8Array): string {
  const runs: [first: number, last: number][] = [];
  for (let node = 0; node < nodes.length * 8; node++) {
    if (!(nodes[node >> 3]! & (1 << (node & 7)))) continue;
    const run = runs.at(-1);
    if (run?.[1] === node - 1) run[1] = node;
    else runs.push([node, node]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join();
}

/**
 * Policies of mappings. The kernel looks at each page for that, 20 ms for each GiB, so it is asked only where there
 * are several nodes: with one node a policy has nothing to choose. Reads without a stop.
 */
export function mappingPolicies(pid: number): string[] {
  return /[,-]/.test(textOf('/sys/devices/system/node/online'))
    ? policiesIn(textOf(`/proc/${pid}/numa_maps`))
    : [];
}

/** Policies other than the default in the text of `/proc/PID/numa_maps`, as they stand there. */
export function policiesIn(text: string): string[] {
  return [...text.matchAll(/^[0-9a-f]+ (\S+)(?=\s)/gm)]
    .map((match) => match[1]!)
    .filter((policy) => policy !== 'default');
}

/** Empty where the kernel knows no NUMA. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
