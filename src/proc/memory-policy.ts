/**
 * Memory policies (set_mempolicy(2), mbind(2), numactl(8)): on which nodes of a NUMA machine pages shall
 * lie. They speak of the nodes of one machine, and an image does not carry them.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { tidsOf } from './threads-apart.js';

/** A warning if any thread or mapping has a policy; none where the kernel knows no NUMA. Reads without a stop. */
export function memoryPolicyWarnings(pid: number): string[] {
  const found = new Set(tidsOf(pid).flatMap((tid) => policiesIn(firstLines(pid, tid))));
  if (hasManyNodes()) for (const policy of policiesIn(allLines(pid))) found.add(policy);
  return found.size === 0
    ? []
    : [
        `memory policies are not carried (${[...found].join(', ')}): numactl can give the image one for all of its memory`,
      ];
}

/** Policies other than the default in the text of `/proc/PID/numa_maps`, as they stand there. */
export function policiesIn(text: string): string[] {
  return [...text.matchAll(/^[0-9a-f]+ (\S+)(?=\s)/gm)]
    .map((match) => match[1]!)
    .filter((policy) => policy !== 'default');
}

/** What a thread has chosen shows in all mappings without a policy of their own. */
function firstLines(pid: number, tid: number): string {
  return unlessMissing(() => {
    const fd = openSync(`/proc/${pid}/task/${tid}/numa_maps`, 'r');
    try {
      const bytes = Buffer.alloc(4096);
      return bytes.toString('latin1', 0, readSync(fd, bytes));
    } finally {
      closeSync(fd);
    }
  });
}

/** The kernel looks at each page for that: 20 ms for each GiB. */
function allLines(pid: number): string {
  return unlessMissing(() => readFileSync(`/proc/${pid}/numa_maps`, 'latin1'));
}

/** With one node a policy has nothing to choose. */
function hasManyNodes(): boolean {
  return /[,-]/.test(unlessMissing(() => readFileSync('/sys/devices/system/node/online', 'latin1')));
}

function unlessMissing(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
