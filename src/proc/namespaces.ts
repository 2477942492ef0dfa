/** namespaces(7): an image runs in those of whoever starts it. The time namespace is carried, see clocks.ts. */
import { readlinkSync } from 'node:fs';
import { errnoOf } from './read.js';

/** Names below `/proc/PID/ns`, and what a process sees there of its own. */
const VIEWS: readonly (readonly [name: string, what: string])[] = [
  ['mnt', 'mounts'],
  ['pid', 'process ids'],
  ['net', 'network'],
  ['uts', 'host name'],
  ['ipc', 'System V IPC and POSIX message queues'],
  ['cgroup', 'control groups'],
];

/** The link of a namespace; `null` on a kernel that has none of that kind. */
export function namespaceOf(pid: number | 'self', name: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Ids and capabilities mean something else in another user namespace: a process that is root within one
 * would be so outside.
 */
export function surveyUserNamespace(pid: number): string[] {
  return isOurs(pid, 'user')
    ? []
    : [
        `process ${pid} is in a user namespace of its own, whose ids and capabilities cannot be carried: freeze and thaw it within (nsenter --target ${pid} --user --preserve-credentials ...)`,
      ];
}

/** A warning if the process has another view of the machine than we have. */
export function namespaceWarnings(pid: number): string[] {
  const others = VIEWS.filter(([name]) => !isOurs(pid, name)).map(([, what]) => what);
  return others.length === 0
    ? []
    : [
        `the process is in namespaces of its own (${others.join(', ')}), which are not carried: its image runs in those of whoever starts it`,
      ];
}

function isOurs(pid: number, name: string): boolean {
  return namespaceOf(pid, name) === namespaceOf('self', name);
}
