/** The socket by which a program routes multicast packets (MRT_INIT, MRT6_INIT), as igmpproxy has it. */
import { readFileSync } from 'node:fs';
import type { Making } from '../../inet.js';

const IPPROTO_IGMP = 2;
const IPPROTO_ICMPV6 = 58;

/**
 * Why a raw socket may be that of the multicast router, of which there is one in a network namespace; `null` where
 * there is none here.
 */
export function routerProblem({ family, protocol, number }: Making): string | null {
  const version = family === 'ipv4' ? 'ipv4' : 'ipv6';
  if (protocol !== 'raw' || number !== (version === 'ipv4' ? IPPROTO_IGMP : IPPROTO_ICMPV6)) return null;
  return isForwarded(version)
    ? 'it may route multicast packets (MRT_INIT), and its interfaces and routes cannot be made again'
    : null;
}

/** A kernel that cannot route them has no such file. */
function isForwarded(version: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/${version}/conf/all/mc_forwarding`, 'latin1').trim() !== '0';
  } catch {
    return false;
  }
}
