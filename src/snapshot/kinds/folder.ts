/** Deleted directory: index into `folders`. */
import * as z from 'zod';
import { index, word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({ kind: z.literal('folder'), ...common, folder: index, offset: word });

/** A directory without a name. */
export const folder = kindModel({
  schema,
  title: () => 'deleted directory',
  describe: ({ folder }, { folders }) => `${folders[folder]?.name ?? ''}, a directory that was deleted`,
});
