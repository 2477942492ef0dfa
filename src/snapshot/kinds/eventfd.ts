/** Eventfd(2). */
import * as z from 'zod';
import { word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({ kind: z.literal('eventfd'), ...common, count: word, semaphore: z.boolean() });

/** A counter. */
export const eventfd = kindModel({
  schema,
  title: () => 'eventfd',
  describe: ({ count, semaphore }) => `count ${count}${semaphore ? ', semaphore' : ''}`,
});
