/** The marks of a fanotify descriptor, from the lines of `/proc/PID/fdinfo/N`; numbers are hexadecimal. */
import { FAN } from '../../fanotify.js';
import { nameToHandle } from '../../native/file-handle.js';
import { errnoOf } from '../read.js';
import { leadsHere } from './paths.js';
import type { Target } from './target.js';
import { readMounts } from './watched-files.js';
import { fileHandle, kernelDevice, type Watch } from './watches.js';

/** What every mark has. */
interface Bits {
  /** `FAN_MARK_*` that the kernel shows of it. */
  readonly flags: number;
  readonly mask: number;
  readonly ignored: number;
}

/** A mark of a file, of a mount by its id, or of a file system by its device. */
export type Mark = Bits &
  (
    | { readonly of: 'inode'; readonly watch: Watch }
    | { readonly of: 'mount'; readonly id: number }
    | { readonly of: 'filesystem'; readonly device: string }
    /** Of a kind that this program does not know. */
    | { readonly of: 'unknown'; readonly line: string }
  );

const LINE =
  /^fanotify (?:ino:([0-9a-f]+) sdev:([0-9a-f]+)|mnt_id:([0-9a-f]+)|sdev:([0-9a-f]+)) mflags:([0-9a-f]+) mask:([0-9a-f]+) ignored_mask:([0-9a-f]+)(?:.* fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]+))?/;
const INIT = /^fanotify flags:([0-9a-f]+) event-flags:([0-9a-f]+)/m;

/** Flags of fanotify_init(2): its own, and those of open(2) for the files in its events. */
export function parseInit(text: string): { flags: number; eventFlags: number } {
  const [, flags = '0', eventFlags = '0'] = INIT.exec(text) ?? [];
  // What its descriptor was made with, and may have been changed since.
  const ofDescriptor = FAN.CLOEXEC | FAN.NONBLOCK;
  return { flags: Number.parseInt(flags, 16) & ~ofDescriptor, eventFlags: Number.parseInt(eventFlags, 16) };
}

/** All marks, in the kernel's order. */
export function parseMarks(text: string): Mark[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('fanotify ') && !INIT.test(line))
    .map((line, index): Mark => {
      const match = LINE.exec(line);
      if (!match) return { of: 'unknown', line, flags: 0, mask: 0, ignored: 0 };
      const [, inode, device, mount, fileSystem, mflags, maskDigits, ignoredDigits, type, handle] = match;
      const [flags, mask, ignored] = [mflags, maskDigits, ignoredDigits].map((d) => Number.parseInt(d!, 16));
      const bits = { flags: flags!, mask: mask!, ignored: ignored! };
      if (mount !== undefined) return { ...bits, of: 'mount', id: Number.parseInt(mount, 16) };
      if (fileSystem !== undefined) {
        const { major, minor } = kernelDevice(fileSystem);
        return { ...bits, of: 'filesystem', device: `${major}:${minor}` };
      }
      // To look for the file as for those of inotify, whose bits of opening and reading are the same.
      const watch = {
        wd: index,
        inode: BigInt(`0x${inode}`),
        device: kernelDevice(device!),
        mask: mask! | ignored!,
        handle: fileHandle(type, handle),
      };
      return { ...bits, of: 'inode', watch };
    });
}

/** Where a marked mount or file system is mounted, as far as that path still leads there; else `null`. */
export function mountPoint(
  mark: Extract<Mark, { of: 'mount' | 'filesystem' }>,
  target: Target,
): string | null {
  const mount = readMounts(target.pid).find(
    ({ id, device, point }) =>
      (mark.of === 'mount' ? id === mark.id : device === mark.device) &&
      leadsTo(target.root + point, id) &&
      leadsHere(point, target),
  );
  return mount?.point ?? null;
}

/** Nothing else is mounted over it. */
function leadsTo(path: string, mount: number): boolean {
  try {
    return nameToHandle(path).mount === mount;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}
