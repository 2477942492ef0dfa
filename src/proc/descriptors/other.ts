/** Whatever no other kind claims: refused, with a reason that names it. */
import { constants } from 'node:fs';
import { classifyDevice } from './device-names.js';
import type { Entry } from './entries.js';
import type { DescriptorKind } from './kind.js';
import { Refusal } from './refusal.js';

const { S_IFMT, S_IFSOCK, S_IFCHR, S_IFBLK } = constants;

interface Row {
  /** The link, or the protocol of a socket. */
  readonly link: RegExp;
  readonly name: string;
  readonly why: string;
}

/** What the kernel calls its nameless files, in fs/ and kernel/. */
const NAMELESS: readonly Row[] = [
  { link: /^anon_inode:\[perf_event\]/, name: 'perf event', why: 'it counts what happens on this machine' },
  { link: /^anon_inode:\[userfaultfd\]/, name: 'userfaultfd', why: 'page faults in flight cannot be frozen' },
  { link: /^anon_inode:bpf/, name: 'bpf', why: 'it refers to a program or map in this kernel' },
  {
    link: /^anon_inode:(\[landlock|seccomp)/,
    name: 'sandbox',
    why: 'it refers to a rule set in this kernel',
  },
  { link: /^anon_inode:kvm/, name: 'kvm', why: 'it refers to a virtual machine in this kernel' },
];

/** Whatever no other kind matches: refused, by the name that people know it by. */
export const other: DescriptorKind = {
  matches: () => true,
  describe: (entry) => `${classify(entry).name}, ${entry.link}`,
  problem: (entry) => classify(entry).why,
  capture: ({ entries: [entry] }) => {
    throw new Refusal(classify(entry!).why);
  },
};

/** Sockets by what the kernel calls their protocol. */
const SOCKETS: readonly Row[] = [
  { link: /^(SMC|SCTP)/, name: 'socket', why: 'of connections only TCP is carried' },
  { link: /^(ALG|XDP|VSOCK|AF_VSOCK|CAN|BLUETOOTH)/, name: 'socket', why: 'it belongs to this machine' },
];

function classifySocket(protocol: string | null): Omit<Row, 'link'> {
  const row = SOCKETS.find(({ link }) => link.test(protocol ?? ''));
  if (!row) return { name: 'socket', why: 'connections to others cannot be frozen' };
  return { name: row.name === 'socket' ? `${protocol} socket` : row.name, why: row.why };
}

function classify({ link, stat, protocol, info }: Entry): Omit<Row, 'link'> {
  const nameless = NAMELESS.find((row) => row.link.test(link));
  if (nameless) return nameless;
  switch (Number(stat.mode) & S_IFMT) {
    case S_IFSOCK:
      return classifySocket(protocol);
    case S_IFCHR:
      return classifyDevice(stat.rdev, info.text);
    case S_IFBLK:
      return { name: 'block device', why: 'the state of a device cannot be frozen' };
    default:
      return { name: 'kernel object', why: 'its kind is not known' };
  }
}
