/** Epoll(7). */
import * as z from 'zod';
import { index, int, word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('epoll'),
  ...common,
  members: z.array(
    z.object({
      /** The number under which the file was added; it may mean another file by now, or none. */
      fd: index,
      /** What is watched: index into `files`. */
      file: index,
      /** `EPOLL*`, with the input flags (EPOLLET, ...). Without event bits: a one-shot member that has fired. */
      events: int.min(0).max(0xffff_ffff),
      data: word,
    }),
  ),
});

/** An epoll set. */
export const epoll = kindModel({
  schema,
  title: () => 'epoll set',
  describe: ({ members }) => `watches ${members.map(({ fd }) => fd).join(' ') || 'nothing'}`,
});
