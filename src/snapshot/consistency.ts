import { PAGE_SIZE } from '../page.js';
import { checkAioContexts } from './checks/aio.js';
import { fail, requireIndex } from './checks/damage.js';
import { checkEnds, checkPidfd } from './checks/pidfd.js';
import { checkUnix } from './checks/unix.js';
import { checkUrings } from './checks/uring.js';
import type { DescriptorTable, OpenFileOf } from './descriptors.js';
import { describedBy } from './fdinfo-path.js';
import { ringRange } from './packet-ring.js';
import type { Extent, Process, Snapshot } from './schema.js';

/** What the image makes for itself, and may give to somebody. */
const OWNED: ReadonlySet<string> = new Set(['pipe', 'inet', 'netlink', 'packet', 'unix']);

/**
 * What the schemas cannot say: that regions ascend and do not overlap, that their content lies
 * within them, and that whatever is referred to by index exists.
 * @throws ImageError naming the first place that makes no sense
 */
export function checkConsistency(snapshot: Snapshot): void {
  snapshot.processes.forEach((process, i) => {
    const where = `processes[${i}]`;
    checkRegions(process, where);
    process.objects.forEach((object, j) => {
      // Content comes in whole pages, whatever the size of the object.
      const end = BigInt(Math.ceil(object.size / PAGE_SIZE) * PAGE_SIZE);
      checkExtents(object.extents, 0n, end, `${where}.objects[${j}]`);
    });
    if (process.workingFolder !== undefined)
      requireIndex(process.workingFolder, process.descriptors.folders, `${where}.workingFolder`);
    checkDescriptors(process, where);
    checkRings(process, where);
    checkAioContexts(process, where);
    checkUrings(process, where);
  });
}

function checkRegions({ regions, objects, mappedFiles }: Process, where: string): void {
  let previous = 0n;
  regions.forEach((region, i) => {
    const place = `${where}.regions[${i}]`;
    if (region.end <= region.start) fail(place, 'ends before it begins');
    if (region.start < previous) fail(place, 'overlaps the region before it');
    previous = region.end;
    checkExtents(region.extents, region.start, region.end, place);
    checkGuards(region, place);
    const { backing } = region;
    if (backing.kind === 'file') requireIndex(backing.file, mappedFiles, `${place}.backing.file`);
    if (backing.kind === 'object') requireIndex(backing.object, objects, `${place}.backing.object`);
  });
}

/** They are put in place by address: outside of the region they would hit other memory. */
function checkGuards({ guards, start, end }: Process['regions'][number], where: string): void {
  const page = BigInt(PAGE_SIZE);
  let previous = start;
  guards.forEach((guard, i) => {
    const place = `${where}.guards[${i}]`;
    if (guard.start % page !== 0n || guard.end % page !== 0n) fail(place, 'is no run of pages');
    if (guard.start < previous || guard.end <= guard.start) fail(place, 'begins before its place');
    if (guard.end > end) fail(place, 'ends behind its place');
    previous = guard.end;
  });
}

function checkExtents(extents: readonly Extent[], start: bigint, end: bigint, where: string): void {
  let previous = start;
  extents.forEach((extent, i) => {
    if (extent.start < previous) fail(`${where}.extents[${i}]`, 'begins before its place');
    previous = extent.start + BigInt(extent.size);
    if (previous > end) fail(`${where}.extents[${i}]`, 'ends behind its place');
  });
}

function checkDescriptors({ descriptors: table, objects, threads }: Process, where: string): void {
  table.descriptors.forEach((descriptor, i) => {
    requireIndex(descriptor.file, table.files, `${where}.descriptors.descriptors[${i}].file`);
  });
  if (table.files.filter((file) => file.kind === 'pty-master' && file.controls).length > 1) {
    fail(`${where}.descriptors.files`, 'has more than one controlling terminal');
  }
  table.pipes.forEach(({ path, removed }, i) => {
    if (path !== '' && removed) fail(`${where}.descriptors.pipes[${i}]`, 'was deleted, and has a path');
  });
  checkEnds(table, `${where}.descriptors.files`);
  table.files.forEach((file, i) => {
    const place = `${where}.descriptors.files[${i}]`;
    if (file.kind === 'external') {
      const numbers = table.descriptors.filter((descriptor) => descriptor.file === i);
      if (numbers.length !== 1 || numbers[0]!.fd <= 2)
        fail(place, 'is not passed in under one number above 2');
    }
    if (file.owner && !OWNED.has(file.kind)) fail(`${place}.owner`, 'is of what others have as well');
    const owner = file.signals?.owner;
    if (owner?.kind === 'thread' && owner.tid !== null && !threads.some(({ tid }) => tid === owner.tid)) {
      fail(`${place}.signals.owner`, `there is no thread ${owner.tid}`);
    }
    const bears = file.signals?.number;
    if (bears !== undefined && isAnothers(bears, i, table)) {
      fail(`${place}.signals.number`, `number ${bears} is another's`);
    }
    if (file.kind === 'object') requireIndex(file.object, objects, `${place}.object`);
    if (file.kind === 'folder') requireIndex(file.folder, table.folders, `${place}.folder`);
    if (file.kind === 'pipe') requireIndex(file.pipe, table.pipes, `${place}.pipe`);
    if (file.kind === 'inet' && file.connection !== null) {
      const { local, peer } = file.connection;
      if (table.hold === null) fail(`${place}.connection`, 'goes on without a table that holds it');
      if (file.protocol !== 'tcp') fail(`${place}.connection`, 'is none of TCP');
      if (local.length !== peer.length) fail(`${place}.connection`, 'has addresses of two families');
      if (file.connection.shutForReading && file.connection.state === 'syn-sent')
        fail(`${place}.connection`, 'is shut for reading before it is made');
    }
    if (file.kind === 'inet' && file.urgent) {
      if (file.ended !== 'closed') fail(`${place}.urgent`, 'is of no connection that was closed');
      if (file.urgent.at >= file.input.length) fail(`${place}.urgent`, 'is behind what can be read');
    }
    if (file.kind === 'inet' && file.protocol === 'mptcp' && (file.ended !== null || file.peer !== null)) {
      fail(`${place}.protocol`, 'is MPTCP, of which connections are not carried');
    }
    if (file.kind === 'inet' && file.keys.length > 0 && file.protocol !== 'tcp') {
      fail(`${place}.keys`, 'are of a socket that is none of TCP');
    }
    if (file.kind === 'inet' && file.datagrams.length > 0 && !/^udp/.test(file.protocol)) {
      fail(`${place}.datagrams`, 'wait in a socket that is none of UDP');
    }
    if (file.kind === 'inet' && file.corked !== null) {
      if (!/^udp/.test(file.protocol)) fail(`${place}.corked`, 'is in a socket that is none of UDP');
      if (file.corked.to === null && file.peer === null) fail(`${place}.corked`, 'goes to nobody');
    }
    if (file.kind === 'file' && file.late) {
      checkLate(file, file.late.thread, threads, place);
      checkDescribed(file, table, place);
    }
    if (file.kind === 'pidfd') checkPidfd(file, threads, place);
    if (file.kind === 'unix') checkUnix(file, table, place);
    if (file.kind === 'pty-slave' && file.master !== null) {
      requireIndex(file.master, table.files, `${place}.master`);
      if (table.files[file.master]!.kind !== 'pty-master') fail(`${place}.master`, 'is no master');
    }
    if (file.kind === 'epoll') {
      file.members.forEach((member, j) => {
        requireIndex(member.file, table.files, `${place}.members[${j}].file`);
      });
    }
  });
}

/** A file of a thread lies in the folder that this thread opens; the first thread opens none. */
function checkLate(
  { path }: OpenFileOf<'file'>,
  thread: number | null,
  threads: Process['threads'],
  where: string,
): void {
  if (thread === null) return;
  if (!threads.slice(1).some(({ tid }) => tid === thread))
    fail(`${where}.late`, `there is no thread ${thread}`);
  if (!/^\/proc\/thread-self(\/|$)/.test(path)) fail(`${where}.path`, 'is none of a thread');
}

/** What tells of a descriptor is found only where that is. */
function checkDescribed({ path }: OpenFileOf<'file'>, { descriptors }: DescriptorTable, where: string): void {
  const told = describedBy(path);
  if (told !== null && !descriptors.some(({ fd }) => fd === told))
    fail(`${where}.path`, `there is no descriptor ${told}`);
}

/** Rings are put in place by address: where no region shows them they would hit other memory. */
function checkRings({ regions, descriptors: { files } }: Process, where: string): void {
  const taken = new Set<bigint>();
  files.forEach((file, i) => {
    if (file.kind !== 'packet' || file.ring === null) return;
    const { start, end } = ringRange(file.ring);
    const place = `${where}.descriptors.files[${i}].ring`;
    let shown = start;
    for (const region of regions) {
      if (region.backing.kind !== 'ring' || region.start < start || region.start >= end) continue;
      if (region.start !== shown) fail(place, 'is mapped with gaps');
      if (taken.has(region.start)) fail(place, 'is mapped where another is');
      taken.add(region.start);
      shown = region.end;
    }
    if (shown !== end) fail(place, 'is not mapped as a whole');
  });
}

/** Whether a number is not free to be borrowed: it is another file's, or one of the streams while the image thaws. */
function isAnothers(fd: number, file: number, { descriptors }: DescriptorTable): boolean {
  const owner = descriptors.find((one) => one.fd === fd)?.file;
  return owner === undefined ? fd <= 2 : owner !== file;
}
