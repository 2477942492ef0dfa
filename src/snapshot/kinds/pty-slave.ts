/** The two sides of a pseudoterminal that the process has to itself. */
import * as z from 'zod';
import { index, text } from '../fields.js';
import { common, ptyNumber } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('pty-slave'),
  ...common,
  /** Index into `files`; `null`: the master is closed, and this side was hung up by that. */
  master: index.nullable(),
  /** N of `/dev/pts/N`: where the master is closed, those of one number are of one terminal. */
  number: ptyNumber,
  /** `/dev/tty`, where it was opened as the controlling terminal; `null`: by its own name. */
  path: text.nullable().default(null),
});

/** The side that programs have. */
export const ptySlave = kindModel({
  schema,
  title: () => 'terminal',
  describe: ({ number, path, master }) =>
    `slave ${number}${path === null ? '' : ` by ${path}`}${master === null ? ', hung up' : ` of file ${master}`}`,
});
