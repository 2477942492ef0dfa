/** Filters of sockets: a program decides what a socket receives. */
import { socketFilter } from '../../native/sockets.js';
import { errnoOf } from '../read.js';
import { Refusal } from './refusal.js';

/** The classic filter of a socket; `null` where there is none. @throws Refusal for one in eBPF */
export function captureFilter(copy: number): Uint8Array | null {
  try {
    return socketFilter(copy);
  } catch (error) {
    if (errnoOf(error) === 'EACCES') {
      throw new Refusal('it has a filter in eBPF (SO_ATTACH_BPF), which cannot be read');
    }
    throw error;
  }
}
