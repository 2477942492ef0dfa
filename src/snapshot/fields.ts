/** What values of a snapshot are made of. */
import * as z from 'zod';
import { AF } from '../inet.js';

export const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes');
export const int = z.int();
export const index = int.min(0);
export const word = z.bigint().min(0n).max(0xffff_ffff_ffff_ffffn);
/** Paths and names end up as C strings. */
export const text = z.string().refine((value) => !value.includes('\0'), 'holds a NUL');

/** `struct sockaddr_in` or `struct sockaddr_in6`. */
export const socketAddress = bytes.refine((value) => {
  const family = (value[0] ?? 0) | ((value[1] ?? 0) << 8);
  return family === AF.INET ? value.length === 16 : family === AF.INET6 && value.length === 28;
}, 'no socket address');
/** An IPv4 or IPv6 address, in the network's order. */
export const hostAddress = bytes.refine((value) => value.length === 4 || value.length === 16, 'no address');
