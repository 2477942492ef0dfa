/** Datagrams as an image has them. */
import * as z from 'zod';
import { isIpv4 } from '../inet.js';
import { bytes, hostAddress, int, socketAddress } from './fields.js';

/** Content of the longest datagram, in bytes, and how many can wait in a socket. */
export const LONGEST_DATAGRAM = 0xffff - 8;
export const MOST_DATAGRAMS = 8192;

/** Bytes of the longest that IPv4 carries. */
const LONGEST_OF_IPV4 = LONGEST_DATAGRAM - 20;

/** A datagram that waits in a socket. What the program is not told of it is `null`. */
export const datagramSchema = z
  .object({
    /** From whom. */
    source: socketAddress,
    content: bytes.refine((value) => value.length <= LONGEST_DATAGRAM, 'is longer than any datagram'),
    /** To which of the host's addresses it was sent. */
    destination: hostAddress.nullable(),
    /** The program is told by which interface it came, the one that has the address. */
    marked: z.boolean(),
    /** Time to live, or the hop limit. */
    hops: int.min(1).max(255).nullable(),
    /** Type of service, or the traffic class. */
    service: int.min(0).max(255).nullable(),
  })
  .refine(
    ({ source, content }) => content.length <= LONGEST_OF_IPV4 || !isIpv4(source),
    'is longer than any datagram of IPv4',
  );

/** See {@link datagramSchema}. */
export type Datagram = z.infer<typeof datagramSchema>;
