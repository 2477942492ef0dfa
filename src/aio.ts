/**
 * Rings of asynchronous input and output, io_setup(2): memory in which the kernel tells of requests that have
 * completed. It begins with `struct aio_ring` of fs/aio.c, and goes on with events of 32 bytes.
 */
import { PAGE_SIZE } from './page.js';

const HEADER_SIZE = 32;
const EVENT_SIZE = 32;
/** Events that the kernel adds to what it was asked for twice over. */
const SPARE = 2;

/** Bytes of a ring: whole pages, filled with events. */
export function aioRingSize(events: number): number {
  return HEADER_SIZE + events * EVENT_SIZE;
}

/** The number of requests, as io_setup(2) is asked for them, from which on a ring has room for so many events. */
export function leastRequests(events: number): number {
  const fewer = events - PAGE_SIZE / EVENT_SIZE;
  return Math.max(1, Math.ceil((fewer + 1 - SPARE) / 2));
}
