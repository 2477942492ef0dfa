/** Signalfd(2). */
import * as z from 'zod';
import { signalSet } from '../../names.js';
import { word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({ kind: z.literal('signalfd'), ...common, mask: word });

/** Signals to be read. */
export const signalfd = kindModel({
  schema,
  title: () => 'signalfd',
  describe: ({ mask }) => signalSet(mask),
});
