/** Namespaces: those of the process itself are opened again as those that it has then. */
import { readdirSync, readlinkSync } from 'node:fs';
import type { DescriptorKind } from './kind.js';
import { pathFile } from './regular.js';

const NAMESPACE = /^(mnt|net|pid|ipc|uts|user|cgroup|time):\[\d+\]$/;

/** Files of `/proc/PID/ns`, namespaces(7). */
export const namespace: DescriptorKind = {
  matches: ({ link }) => NAMESPACE.test(link),
  describe: ({ link }) => `namespace, ${link}`,
  problem: ({ link }, { pid }) =>
    nameOf(link, pid) === null
      ? 'it refers to a namespace of this machine that is not the one of the process itself'
      : null,
  capture: ({ entries: [entry] }, { pid }) => ({
    ...pathFile(entry!),
    path: `/proc/self/ns/${nameOf(entry!.link, pid)}`,
  }),
};

/** By which name the process has a namespace, `net` or `time_for_children`; `null` if it is another's. */
function nameOf(link: string, pid: number): string | null {
  const folder = `/proc/${pid}/ns`;
  // The plain name comes before that for children.
  const names = readdirSync(folder).sort();
  return names.find((name) => readlinkSync(`${folder}/${name}`) === link) ?? null;
}
