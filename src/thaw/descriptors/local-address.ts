/** Whether an address is one of this host, by its routing tables: `linux/rtnetlink.h`. */

import { AF, addressText, LOOPBACK, putTogether } from '../../inet.js';
import { attribute, message, NLM, NLMSG_TYPE, NLMSGHDR } from '../../netlink.js';
import { testField } from '../calls.js';
import type { Op } from '../program.js';
import type { Bench } from './bench.js';
import { close } from './calls.js';
import { ask, openNetlink } from './netlink-calls.js';

const RTM = { NEWROUTE: 24, GETROUTE: 26 } as const;
const RTMSG = 12;
/** `rtm_type` in `struct rtmsg`. */
const TYPE = 7;
const RTN_LOCAL = 2;
const RTA_DST = 1;

/**
 * Tests that what is sent to an address stays on this host.
 * @param host of 4 or 16 bytes
 */
export function testLocal(host: Uint8Array, label: string, { arena }: Bench): Op[] {
  const [family, loopback] = host.length === 4 ? [AF.INET, LOOPBACK.ipv4] : [AF.INET6, LOOPBACK.ipv6];
  if (Buffer.compare(host, loopback) === 0) return [];
  const fd = arena.cell();
  const route = Buffer.alloc(RTMSG);
  route.set([family, host.length * 8]);
  const address = addressText(putTogether(host, 0)).replace(/:0$/, '');
  const reason = `${address} is no address of this host`;
  return [
    openNetlink(fd, 'ROUTE', { label }),
    ...ask(
      fd,
      'ROUTE',
      message(RTM.GETROUTE, NLM.REQUEST, route, attribute(RTA_DST, host)),
      arena,
      (reply) => [
        testField(reply + BigInt(NLMSG_TYPE), 2, RTM.NEWROUTE, {
          ...{ label, reason, text: `test there is a route to ${address}` },
        }),
        testField(reply + BigInt(NLMSGHDR + TYPE), 1, RTN_LOCAL, {
          ...{ label, reason, text: `test ${address} is local` },
        }),
      ],
    ),
    close(fd),
  ];
}
