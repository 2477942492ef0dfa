/** Other paths wherever one is opened again: descriptors, shared mappings, the working directory. */
import { bytesOfText, textOfBytes } from '../byte-text.js';
import { UsageError } from '../errors.js';
import type { OpenFile, OpenFileOf } from '../snapshot/descriptors.js';
import type { Process } from '../snapshot/schema.js';
import type { ImageChanges } from './changes.js';
import type { Wish } from './embed.js';

const SLASH = 0x2f;
/** `sun_path` has 108 bytes. */
const NAME_MAX = 107;

/** A process with other paths, and the files that are to be embedded, by their new paths. */
export interface Moved {
  readonly process: Process;
  readonly embed: ReadonlyMap<string, Wish>;
}

/** Changes paths. @throws UsageError for a change that changes nothing, or cannot be */
export function rewritePaths(
  process: Process,
  { files, paths, cwd }: Omit<ImageChanges, 'environment'>,
): Moved {
  const unused = new Set<string>([...files.paths.keys(), ...paths.keys()]);
  const embed = new Map<string, Wish>();
  const moved = (path: string): string => {
    const old = longestPrefix(path, paths);
    if (old === null) return path;
    unused.delete(old);
    return join(paths.get(old)!, path.slice(old === '/' ? 0 : old.length));
  };
  /** The path chosen by `--file`, or `null`; notes what is to be embedded. */
  const chosen = (path: string, regular: boolean): string | null => {
    const choice = files.paths.get(path);
    unused.delete(path);
    if (choice?.kind === 'open') return choice.path;
    if (choice?.kind === 'embed' && !regular)
      throw new UsageError(`--file ${path}=embed: it is not a regular file`);
    if (choice?.kind === 'embed') embed.set(moved(path), 'this');
    else if (choice === undefined && files.all === 'embed' && regular) embed.set(moved(path), 'any');
    return null;
  };
  for (const { kind, name } of process.objects) if (kind === 'embedded-file') unused.delete(name);
  const table = process.descriptors;
  const { workingFolder, ...rest } = process;
  const removed = cwd === undefined && workingFolder !== undefined;
  const rewritten: Process = {
    ...rest,
    ...(removed ? { workingFolder } : {}),
    mappedFiles: process.mappedFiles.map((file) => ({
      ...file,
      path: chosen(file.path, true) ?? moved(file.path),
    })),
    workingDirectory: cwd ?? (removed ? process.workingDirectory : moved(process.workingDirectory)),
    descriptors: {
      ...table,
      files: table.files.map((file): OpenFile => {
        const path = file.kind === 'file' ? chosen(file.path, file.type === 'regular') : null;
        if (file.kind === 'unix') return moveSocket(file, moved);
        if (file.kind !== 'file' || path === null) return mapPaths(file, moved);
        return { ...file, type: 'chosen', path, modified: null, device: null };
      }),
      folders: mapPaths(table.folders, moved),
      pipes: mapPaths(table.pipes, moved),
    },
  };
  for (const path of unused) {
    const [option, where] = files.paths.has(path) ? ['--file', 'at'] : ['--path', 'below'];
    throw new UsageError(`${option} ${path}: the image opens nothing ${where} this path`);
  }
  return { process: rewritten, embed };
}

/** Whatever the kind of a descriptor: an absolute path by the name of `path` is one that is opened again. */
function mapPaths<T>(value: T, map: (path: string) => string): T {
  if (Array.isArray(value)) return value.map((member) => mapPaths(member, map)) as T;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      key === 'path' && typeof member === 'string' && member.startsWith('/')
        ? map(member)
        : mapPaths(member, map),
    ]),
  ) as T;
}

/** A Unix domain socket: its name, or the folder at which that starts, and where its file was moved to. */
function moveSocket(file: OpenFileOf<'unix'>, moved: (path: string) => string): OpenFile {
  const { name, node, folder } = file;
  const place = node?.path ? textOfBytes(moveName(bytesOfText(node.path), moved)) : null;
  return {
    ...file,
    name: moveName(name, moved),
    folder: folder && moved(folder),
    node: node && { ...node, path: place },
  };
}

/** The name of a Unix domain socket, as `sun_path` of `bind(2)`. @throws UsageError for one that is too long */
function moveName(name: Uint8Array, moved: (path: string) => string): Uint8Array {
  if (name[0] !== SLASH) return name;
  const path = textOfBytes(name);
  const to = moved(path);
  if (to === path) return name;
  const bytes = bytesOfText(to);
  if (bytes.length > NAME_MAX) throw new UsageError(`--path: ${to} is too long for the name of a socket`);
  return bytes;
}

function longestPrefix(path: string, paths: ReadonlyMap<string, string>): string | null {
  let longest: string | null = null;
  for (const old of paths.keys()) {
    const matches = path === old || path.startsWith(old === '/' ? old : `${old}/`);
    if (matches && old.length > (longest?.length ?? 0)) longest = old;
  }
  return longest;
}

/** @param rest empty, or beginning with a slash */
function join(start: string, rest: string): string {
  return start === '/' && rest !== '' ? rest : start + rest;
}
