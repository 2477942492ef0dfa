/** What inotify tells of, made to happen to files that are there for nothing else. */
import { quoted } from '../../byte-text.js';
import { O } from '../../fcntl.js';
import { IN } from '../../inotify.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import { call } from '../calls.js';
import { openFlagNames } from '../flags.js';
import type { Cell, Op } from '../program.js';
import type { Bench, Place } from './bench.js';
import { close, write } from './calls.js';

type Event = OpenFileOf<'inotify'>['events'][number];

const AT_REMOVEDIR = 0x200;
/** Whose files have names in the events. Two, for renames from one to the other. */
export const FOLDERS = ['a', 'b'] as const;
/** What has none there, being watched itself. */
const NAMELESS = 'n';
/** From where, or to where, something is renamed that no watch sees there. */
const ELSEWHERE = 'e';

/** Where it happens. */
export interface Stage {
  readonly place: Place;
  readonly bench: Bench;
  /** Descriptor of the root of a file system. */
  readonly root: number;
  readonly label: string;
}

/** What comes before there is a watch, what makes the event, and what leaves nothing behind. */
export interface Act {
  readonly before: readonly Op[];
  readonly event: readonly Op[];
  readonly after: readonly Op[];
}

/** To what it happens. */
interface Subject {
  readonly wd: number;
  /** From the root. */
  readonly path: string;
  readonly isFolder: boolean;
}

/** Makes one event. @throws RangeError for one that is none of the schema's */
export function actOf(event: Event, stage: Stage): Act {
  const act = ACTS[event.mask & ~IN.ISDIR];
  if (!act) throw new RangeError(`nothing makes an event of inotify with the mask ${event.mask}`);
  return act(subjectOf(event, 0), stage);
}

/** Makes the two events of a rename. */
export function rename(from: Event, to: Event, stage: Stage): Act {
  const subjects = [subjectOf(from, 0), subjectOf(to, from.wd === to.wd ? 0 : 1)] as const;
  return {
    before: [make(stage, subjects[0].path, subjects[0].isFolder)],
    event: [move(stage, subjects[0].path, subjects[1].path)],
    after: [unlink(stage, subjects[1])],
  };
}

/** What is watched, by an absolute path. @param folder index in {@link FOLDERS} */
export function watchedPath(name: string, folder: number, { root }: Stage): string {
  return pathOf(root, name === '' ? NAMELESS : FOLDERS[folder]!);
}

/** An absolute path below a descriptor of ours. */
export function pathOf(root: number, path: string): string {
  return `/proc/self/fd/${root}/${path}`;
}

/** Removes a watch, if it is there. */
export function removeWatch(wd: number, { place: { at } }: Stage): Op {
  return call('inotify_rm_watch', [at, wd], { check: { kind: 'none' } });
}

/** Makes a file or folder; it says nothing of others than that. */
export function make({ root, bench, label }: Stage, path: string, isFolder: boolean): Op {
  const name = isFolder ? 'mkdirat' : 'mknodat';
  return call(name, [root, bench.arena.string(path), isFolder ? 0o700 : S_IFREG | 0o600, 0], {
    ...{ label, text: `${name}(${root}, ${quoted(path)}, ${isFolder ? '0700' : 'S_IFREG|0600, 0'})` },
  });
}

const S_IFREG = 0o100000;

const ACTS: Readonly<Record<number, (subject: Subject, stage: Stage) => Act>> = {
  [IN.ACCESS]: (subject, stage) =>
    withOpen(subject, stage, subject.isFolder ? O.RDONLY : O.RDWR, (fd) => {
      const { bench, label } = stage;
      if (subject.isFolder) return [call('getdents64', [fd, bench.scratch, 256], { label })];
      const check = { kind: 'equal', expected: 1 } as const;
      return [call('pread64', [fd, bench.scratch, 1, 0], { label, check })];
    }),
  [IN.MODIFY]: (subject, stage) =>
    withOpen(subject, stage, O.RDWR, (fd) => [
      write(stage.bench.arena, fd, Buffer.of(0), { label: stage.label }),
    ]),
  [IN.CLOSE_WRITE]: (subject, stage) => withOpen(subject, stage, O.RDWR, (fd) => [close(fd)]),
  [IN.CLOSE_NOWRITE]: (subject, stage) => withOpen(subject, stage, O.RDONLY, (fd) => [close(fd)]),
  [IN.OPEN]: (subject, stage) => {
    const fd = stage.bench.arena.cell();
    const { before, after } = existing(subject, stage, []);
    return { before, event: [open(subject, stage, O.RDONLY, fd)], after: [close(fd), ...after] };
  },
  [IN.ATTRIB]: (subject, stage) => {
    const { root, bench, label } = stage;
    const text = `fchmodat(${root}, ${quoted(subject.path)}, 0777)`;
    return existing(subject, stage, [
      call('fchmodat', [root, bench.arena.string(subject.path), 0o777], { label, text }),
    ]);
  },
  [IN.CREATE]: (subject, stage) => ({
    before: [],
    event: [make(stage, subject.path, subject.isFolder)],
    after: [unlink(stage, subject)],
  }),
  [IN.DELETE]: deletion,
  [IN.DELETE_SELF]: deletion,
  [IN.MOVED_FROM]: departure,
  [IN.MOVE_SELF]: departure,
  [IN.MOVED_TO]: (subject, stage) => ({
    before: [make(stage, ELSEWHERE, subject.isFolder)],
    event: [move(stage, ELSEWHERE, subject.path)],
    after: [unlink(stage, subject)],
  }),
  [IN.IGNORED]: (subject, stage) => existing(subject, stage, [removeWatch(subject.wd, stage)]),
};

function subjectOf({ wd, mask, name }: Event, folder: 0 | 1): Subject {
  const path = name === '' ? NAMELESS : `${FOLDERS[folder]}/${name}`;
  return { wd, path, isFolder: (mask & IN.ISDIR) !== 0 };
}

/** To something that is there. */
function existing(subject: Subject, stage: Stage, event: readonly Op[]): Act {
  const before = [make(stage, subject.path, subject.isFolder)];
  return { before, event, after: [unlink(stage, subject)] };
}

/** To something that is open, and has a byte in it if it is a file. */
function withOpen(subject: Subject, stage: Stage, flags: number, use: (fd: Cell) => Op[]): Act {
  const { bench, root, label } = stage;
  const fd = bench.arena.cell();
  const { before, after } = existing(subject, stage, []);
  const text = `truncate(".../${root}/${subject.path}", 1)`;
  const path = bench.arena.string(pathOf(root, subject.path));
  const content = subject.isFolder ? [] : [call('truncate', [path, 1], { label, text })];
  return {
    before: [...before, ...content, open(subject, stage, flags, fd)],
    event: use(fd),
    // Closed once more, where that was the event: the number is nobody's.
    after: [close(fd), ...after],
  };
}

function open({ path }: Subject, { root, bench, label }: Stage, flags: number, result: Cell): Op {
  const all = flags | O.NOFOLLOW | O.CLOEXEC;
  const text = `openat(${root}, ${quoted(path)}, ${openFlagNames(all)})`;
  return call('openat', [root, bench.arena.string(path), all, 0], { label, result, text });
}

function deletion(subject: Subject, stage: Stage): Act {
  return {
    before: [make(stage, subject.path, subject.isFolder)],
    event: [unlink(stage, subject)],
    after: [],
  };
}

function departure(subject: Subject, stage: Stage): Act {
  return {
    before: [make(stage, subject.path, subject.isFolder)],
    event: [move(stage, subject.path, ELSEWHERE)],
    after: [unlink(stage, { ...subject, path: ELSEWHERE })],
  };
}

function move({ root, bench, label }: Stage, from: string, to: string): Op {
  return call('renameat', [root, bench.arena.string(from), root, bench.arena.string(to)], {
    ...{ label, text: `renameat(${root}, ${quoted(from)}, ${root}, ${quoted(to)})` },
  });
}

function unlink({ root, bench, label }: Stage, { path, isFolder }: Pick<Subject, 'path' | 'isFolder'>): Op {
  const flags = isFolder ? AT_REMOVEDIR : 0;
  return call('unlinkat', [root, bench.arena.string(path), flags], {
    ...{ label, text: `unlinkat(${root}, ${quoted(path)}, ${isFolder ? 'AT_REMOVEDIR' : '0'})` },
  });
}
