/** Keys of TCP MD5 signatures (RFC 2385) as an image has them. */
import * as z from 'zod';
import { LONGEST_KEY } from '../tcp-key.js';
import { bytes, hostAddress, int } from './fields.js';

/** What the kernel can tell of one socket: sock_diag(7) has 100 bytes for each in an attribute of 64 KiB. */
const MOST_KEYS = 655;

/** A key, and with whom it is used. */
export const tcpKeySchema = z
  .object({
    /** Of an IPv6 socket an IPv4 address means what is mapped. */
    host: hostAddress,
    /** How many bits of it count. */
    prefix: int.min(0).max(128),
    key: bytes.refine(({ length }) => length > 0 && length <= LONGEST_KEY, 'no key of TCP MD5'),
  })
  .refine(({ host, prefix }) => prefix <= host.length * 8, 'has a prefix longer than its address');

/** Those of a socket, the latest first. */
export const tcpKeysSchema = z.array(tcpKeySchema).max(MOST_KEYS).default([]);

/** See {@link tcpKeySchema}. */
export type TcpKey = z.infer<typeof tcpKeySchema>;
