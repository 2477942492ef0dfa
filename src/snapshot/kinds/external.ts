/** Whatever whoever runs the image passes in under the descriptor's number, which is above 2. */
import * as z from 'zod';
import { text } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({ kind: z.literal('external'), ...common, was: text });

/** What is passed in; it has one descriptor. */
export const external = kindModel({
  schema,
  title: () => 'passed in',
  describe: ({ was }) => `passed in by whoever starts the image, was ${was}`,
});
