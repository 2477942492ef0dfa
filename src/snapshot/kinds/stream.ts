/** Becomes descriptor 0, 1 or 2 of the image that is run. */
import * as z from 'zod';
import { int, text } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('stream'),
  ...common,
  stream: int.min(0).max(2),
  /** What it was: `terminal /dev/pts/1`, `pipe:[123]`, `socket:[123]`. */
  was: text,
  /**
   * How it is made where the stream is a terminal:
   * - `shared`: a duplicate of the stream, whose open file description it shared
   * - `own`: the stream's terminal, opened again
   * - `controlling`: /dev/tty, opened again
   */
  reopen: z.enum(['shared', 'own', 'controlling']),
});

/** A stream of the image. */
export const stream = kindModel({
  schema,
  title: () => 'stream',
  describe: ({ stream, was }) => `stream ${stream} of the image, was ${was}`,
});
