/** A socket to the kernel. */
import * as z from 'zod';
import { bytes, index, int } from '../fields.js';
import { common, socketFilter } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('netlink'),
  ...common,
  type: z.enum(['datagram', 'raw']),
  /** `NETLINK_*` */
  protocol: int.min(0).max(31),
  /** What it is addressed by (`nl_pid`); 0: it has no address yet. */
  port: int.min(0).max(0xffff_ffff),
  /** Groups that it listens to, from 1 on. */
  groups: z.array(int.min(1).max(0xffff)),
  /** `struct sockaddr_nl` of whom it is connected to. */
  peer: bytes.refine((value) => value.length === 12, 'no address of netlink').nullable(),
  options: z.array(z.object({ level: index, option: index, value: bytes })),
  filter: socketFilter,
});

/** A socket to the kernel. */
export const netlink = kindModel({
  schema,
  title: () => 'netlink socket',
  describe: ({ protocol, port, groups }) =>
    `netlink protocol ${protocol}, port ${port}${groups.length > 0 ? `, groups ${groups.join(' ')}` : ''}`,
});
