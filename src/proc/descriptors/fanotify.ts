/** fanotify(7): marks of files, mounts and file systems, by paths that lead to them. */

import { lstatSync } from 'node:fs';
import { filePath } from '../../byte-text.js';
import { FAN } from '../../fanotify.js';
import { fionread } from '../../native/syscalls.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { deviceNumbers } from '../objects.js';
import type { Entry } from './entries.js';
import { type Mark, mountPoint, parseInit, parseMarks } from './fanotify-marks.js';
import type { DescriptorKind } from './kind.js';
import { PassingRefusal } from './refusal.js';
import { fileType } from './regular.js';
import type { Target } from './target.js';
import { findWatched } from './watched-files.js';

type CapturedMark = OpenFileOf<'fanotify'>['marks'][number];

/** Descriptors made by fanotify_init(2). */
export const fanotify: DescriptorKind = {
  matches: ({ link }) => link === 'anon_inode:[fanotify]',
  describe: ({ link }) => `fanotify, ${link}`,
  problem: (entry, target) => {
    if (parseInit(entry.info.text).flags & FAN.CLASS)
      return 'it decides on what others may open (FAN_CLASS_CONTENT), and they would wait for its word';
    const lost = search(entry, target).find(({ found }) => found === null);
    return lost === undefined ? null : `no path was found to what its ${describe(lost.mark)} is of`;
  },
  capture: ({ entries: [entry] }, { withCopy, target }) => {
    const { fd, info } = entry!;
    const unread = withCopy(fd, fionread);
    if (unread > 0)
      throw new PassingRefusal(
        `${unread} bytes of events in it were not read yet, and cannot be without being consumed`,
      );
    return {
      kind: 'fanotify',
      flags: info.flags,
      init: parseInit(info.text),
      marks: search(entry!, target).map(({ found }) => found!),
    };
  },
};

interface Searched {
  readonly mark: Mark;
  readonly found: CapturedMark | null;
}

/** Looked for once, although asked twice. */
const searches = new WeakMap<Entry, readonly Searched[]>();

function search(entry: Entry, target: Target): readonly Searched[] {
  const known = searches.get(entry);
  if (known) return known;
  const marks = parseMarks(entry.info.text);
  const files = findWatched(
    target,
    marks.flatMap((mark) => (mark.of === 'inode' ? [mark.watch] : [])),
  );
  const searched = marks.map((mark) => ({ mark, found: find(mark, target, files) }));
  searches.set(entry, searched);
  return searched;
}

function find(mark: Mark, target: Target, files: ReturnType<typeof findWatched>): CapturedMark | null {
  const { flags, mask, ignored } = mark;
  if (mark.of === 'unknown') return null;
  if (mark.of === 'inode') {
    const file = files.get(mark.watch);
    if (!file) return null;
    const type = fileType(file.stat)!;
    const device = type === 'device' ? deviceNumbers(file.stat.rdev) : null;
    return { of: 'inode', flags, mask, ignored, path: file.path, type, device };
  }
  const path = mountPoint(mark, target);
  if (path === null) return null;
  const type = fileType(lstatSync(filePath(target.root + path), { bigint: true }));
  return type === undefined ? null : { of: mark.of, flags, mask, ignored, path, type, device: null };
}

function describe(mark: Mark): string {
  switch (mark.of) {
    case 'inode':
      return `mark of inode ${mark.watch.inode} on device ${mark.watch.device.major}:${mark.watch.device.minor}`;
    case 'mount':
      return `mark of mount ${mark.id}`;
    case 'filesystem':
      return `mark of the file system on device ${mark.device}`;
    case 'unknown':
      return `mark "${mark.line}"`;
  }
}
