/** The descriptor table of a frozen process: open file descriptions, and the descriptors that share them. */
import { z } from 'zod';

const bytes = z.instanceof(Uint8Array);
const int = z.int();

/** What every open file description has, whatever its kind. */
const common = {
  /** `O_*` access mode and status flags from fdinfo, without O_CLOEXEC. */
  flags: int,
};

/**
 * An open file description by kind.
 * - `stream`: becomes descriptor 0, 1 or 2 of the image that is run
 * - `file`: regular file, directory or device opened again by path
 * - `object`: deleted file or memfd: index into the process's memory objects
 * - `pipe`: one end of a pipe both of whose ends the process has: index into `pipes`
 */
export const openFileSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('stream'),
    ...common,
    stream: int.min(0).max(2),
    /** What it was: `terminal`, `pipe:[123]`, `socket:[123]`. */
    was: z.string(),
  }),
  z.object({
    kind: z.literal('file'),
    ...common,
    type: z.enum(['regular', 'directory', 'device', 'fifo']),
    path: z.string(),
    offset: z.bigint(),
    /** For a device: major and minor number, checked at thaw. */
    device: z.object({ major: int, minor: int }).nullable(),
  }),
  z.object({ kind: z.literal('object'), ...common, object: int.min(0), offset: z.bigint() }),
  z.object({ kind: z.literal('pipe'), ...common, pipe: int.min(0), end: z.enum(['read', 'write', 'both']) }),
  z.object({ kind: z.literal('eventfd'), ...common, count: z.bigint(), semaphore: z.boolean() }),
  z.object({
    kind: z.literal('epoll'),
    ...common,
    members: z.array(z.object({ fd: int, events: int, data: z.bigint() })),
  }),
]);

export const descriptorTableSchema = z.object({
  files: z.array(openFileSchema),
  descriptors: z.array(z.object({ fd: int.min(0), file: int.min(0), closeOnExec: z.boolean() })),
  pipes: z.array(
    z.object({
      /** Capacity in bytes. */
      capacity: int,
      /** What is in it; in packet mode one entry a packet, else one entry. */
      content: z.array(bytes),
      /** Path of a FIFO; empty for a pipe. */
      path: z.string(),
    }),
  ),
  /** Modes of the terminal that a `stream` was: `struct termios2` (44 bytes) and `struct winsize` (8). */
  terminal: z.object({ modes: bytes, size: bytes }).nullable(),
});

export type OpenFile = z.infer<typeof openFileSchema>;
export type DescriptorTable = z.infer<typeof descriptorTableSchema>;
