/** An end of a pipe or FIFO that the process has to itself: index into `pipes`. */
import * as z from 'zod';
import { index } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('pipe'),
  ...common,
  pipe: index,
  end: z.enum(['read', 'write', 'both']),
});

/** An end of a pipe. */
export const pipe = kindModel({
  schema,
  title: () => 'pipe',
  describe: (file, { pipes }) => {
    const pipe = pipes[file.pipe];
    const content = pipe?.content.reduce((sum, part) => sum + part.length, 0) ?? 0;
    const removed = pipe?.removed ? ` ${pipe.removed.name}, which was deleted` : '';
    return `pipe ${file.pipe}${pipe?.path ? ` ${pipe.path}` : removed}, ${file.end} end, ${content} bytes in it`;
  },
});
