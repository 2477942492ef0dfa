/** The hold on connections: it must be there when they are made again, and goes right before they go on. */
import { NLMSG_ERROR, NLMSG_TYPE, NLMSGHDR } from '../../netlink.js';
import { askForTable, removeTable, TABLE_IS_THERE } from '../../nftables.js';
import type { Arena } from '../arena.js';
import { testField } from '../calls.js';
import type { Cell, Op } from '../program.js';
import type { Bench } from './bench.js';
import { close } from './calls.js';
import { ask, openNetlink } from './netlink-calls.js';

/** EPERM as an answer has it. */
const REFUSED = 0xffff_ffff;

/** Without it, whatever has come meanwhile was answered: by another thaw of the image, or with a reset. */
export function testHold(name: string, bench: Bench): Op[] {
  const { arena } = bench;
  const permitted = bench.mark();
  const fd = arena.cell();
  const extra = {
    label: 'cannot go on with TCP connections',
    reason: `nothing holds them (the nftables table inet ${name} is not there): they were resumed, or given up, before`,
  };
  return [
    openNetlink(fd, 'NETFILTER', { label: extra.label }),
    ...ask(fd, 'NETFILTER', askForTable(name), arena, (reply) => [
      testField(reply + BigInt(NLMSGHDR), 4, REFUSED, {
        jump: permitted,
        text: 'test nlmsgerr.error == -EPERM',
      }),
      testField(reply + BigInt(NLMSGHDR), 4, 0, { label: extra.label, reason: 'it takes CAP_NET_ADMIN' }),
      { op: 'mark', name: permitted },
      testField(reply + BigInt(NLMSG_TYPE), 2, TABLE_IS_THERE, {
        ...extra,
        text: `test the nftables table inet ${name} is there`,
      }),
    ]),
    close(fd),
  ];
}

/** Removes the hold, and closes the socket by which that is done. */
export function removeHold(name: string, fd: Cell, arena: Arena): Op[] {
  const label = `cannot remove the nftables table inet ${name}`;
  return [
    ...ask(fd, 'NETFILTER', removeTable(name), arena, (reply) => [
      testField(reply + BigInt(NLMSG_TYPE), 2, NLMSG_ERROR, {
        ...{ label, reason: 'there is no answer' },
        text: 'test nlmsg_type == NLMSG_ERROR',
      }),
      testField(reply + BigInt(NLMSGHDR), 4, 0, {
        ...{ label, reason: 'the kernel does not do it (is it there, and with it CAP_NET_ADMIN?)' },
        text: 'test nlmsgerr.error == 0',
      }),
    ]),
    close(fd),
  ];
}
