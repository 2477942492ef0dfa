/** Deleted file or memfd: index into the process's memory objects. */
import * as z from 'zod';
import { index, word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({ kind: z.literal('object'), ...common, object: index, offset: word });

/** A file whose content is in the image. */
export const object = kindModel({
  schema,
  title: () => 'file in the image',
  describe: ({ object, offset }) => `memory object ${object}${offset ? `, at ${offset}` : ''}`,
});
