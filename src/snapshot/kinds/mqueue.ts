/** Mq_overview(7). */
import * as z from 'zod';
import { int, text, word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('mqueue'),
  ...common,
  /** Without the slash. */
  name: text.refine((value) => value !== '' && !value.includes('/'), 'is no name of a queue'),
  /** Where reading it as a file goes on. */
  offset: word,
  /** What it can hold: `mq_maxmsg`, and `mq_msgsize` in bytes. */
  maxMessages: int.min(1).max(0x7fff_ffff),
  messageSize: int.min(1).max(0x7fff_ffff),
});

/** A POSIX message queue. */
export const mqueue = kindModel({
  schema,
  title: () => 'message queue',
  describe: ({ name, maxMessages, messageSize }) =>
    `/${name}, ${maxMessages} messages of ${messageSize} bytes`,
});
