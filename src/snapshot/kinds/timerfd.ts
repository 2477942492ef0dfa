/** Timerfd_create(2). */
import * as z from 'zod';
import { clockName } from '../../names.js';
import { TFD } from '../../timerfd.js';
import { int, word } from '../fields.js';
import { common } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('timerfd'),
  ...common,
  clock: int,
  /** `TFD_TIMER_*` of the last timerfd_settime(2). */
  settimeFlags: int.min(0),
  /** How often it has fired since it was last read. */
  ticks: word,
  /** ns: with TFD_TIMER_ABSTIME the time at which it fires next, else the time left; 0: it does not run. */
  next: word,
  interval: word,
});

/** A timer. */
export const timerfd = kindModel({
  schema,
  title: () => 'timerfd',
  describe: ({ clock, settimeFlags, next, interval, ticks }) => {
    const when = settimeFlags & TFD.TIMER_ABSTIME ? 'at' : 'in';
    const first = next ? `, next ${when} ${next} ns` : '';
    return `${clockName(clock)}${first}${interval ? `, every ${interval} ns` : ''}${ticks ? `, ${ticks} ticks` : ''}`;
  },
});
