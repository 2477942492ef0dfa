/** The descriptor table of a frozen process: open file descriptions, and the descriptors that share them. */
import * as z from 'zod';
import { bytes, index, int, text, word } from './fields.js';
import { type fileSignalSchema, type lockSchema, termios, winsize } from './kinds/common.js';
import { KINDS } from './kinds/index.js';
import type { KindModel } from './kinds/model.js';

/** The schemas of all kinds, in the order of their table. */
type SchemasOf<T extends readonly { readonly schema: unknown }[]> = {
  -readonly [I in keyof T]: T[I]['schema'];
};

/** An open file description, by kind: see `kinds/`. */
export const openFileSchema = z.discriminatedUnion(
  'kind',
  KINDS.map(({ schema }) => schema) as unknown as SchemasOf<typeof KINDS>,
);

const nanoseconds = z
  .bigint()
  .min(-(2n ** 63n))
  .max(2n ** 63n - 1n);

/** What there is of a directory or FIFO without a name. */
const nameless = {
  /** The path that it had, for messages. */
  name: text,
  mode: int.min(0).max(0o7777),
  owner: z.object({ uid: index, gid: index }),
  /** When it was read and written, ns. */
  times: z.object({ accessed: nanoseconds, modified: nanoseconds }),
};

/** All descriptors; indices refer to the lists of the table itself, but `object`: to the process's objects. */
export const descriptorTableSchema = z.object({
  files: z.array(openFileSchema),
  descriptors: z.array(z.object({ fd: index.max(0x7fff_ffff), file: index, closeOnExec: z.boolean() })),
  /** Deleted directories: open ones, and the working directory. */
  folders: z
    .array(
      z.object({
        ...nameless,
        /** Of the directory above, in which it is made again. */
        path: text,
        device: z.string(),
        inode: word,
      }),
    )
    .default([]),
  pipes: z.array(
    z.object({
      /** Capacity in bytes. */
      capacity: int.min(0),
      /** What is in it: an entry for each packet, and one for what was written without. */
      content: z.array(bytes),
      /** How many of the entries, from the first on, are packets; left out: all, if there are several. */
      packets: index.optional(),
      /** Path of a FIFO; empty for a pipe, and for a FIFO that was deleted. */
      path: text,
      /** Of a FIFO that was deleted. */
      removed: z.object(nameless).optional(),
      /** A FIFO that has no writer, and whose readers have seen none: to them it is no end of file (POLLHUP). */
      unwritten: z.boolean().optional(),
    }),
  ),
  /**
   * The nftables table (of the family inet) that holds the packets of the connections that are kept, until
   * they are made again; `null`: none are.
   */
  hold: z
    .string()
    .regex(/^proc2elf-[0-9]{1,10}-[0-9a-f]{8}$/, 'is no table of ours')
    .nullable()
    .default(null),
  /**
   * Modes of the terminal that a `stream` was, if the process had it in the foreground:
   * `struct termios2` (44 bytes) and `struct winsize` (8).
   */
  terminal: z
    .object({
      modes: termios,
      size: winsize,
    })
    .nullable(),
});

/** See {@link fileSignalSchema}. */
export type FileSignal = z.infer<typeof fileSignalSchema>;
/** See {@link lockSchema}. */
export type FileLock = z.infer<typeof lockSchema>;
/** See {@link openFileSchema}. */
export type OpenFile = z.infer<typeof openFileSchema>;
/** Kind of an open file description. */
export type OpenFileKind = OpenFile['kind'];
/** An open file description of one kind. */
export type OpenFileOf<K extends OpenFileKind> = Extract<OpenFile, { kind: K }>;
/** See {@link descriptorTableSchema}. */
export type DescriptorTable = z.infer<typeof descriptorTableSchema>;

const models = new Map(
  KINDS.map((model) => [model.schema.shape.kind.value, model as unknown as KindModel<OpenFile>]),
);

/** What there is to say of a kind. */
export function modelOf({ kind }: Pick<OpenFile, 'kind'>): KindModel<OpenFile> {
  return models.get(kind)!;
}
