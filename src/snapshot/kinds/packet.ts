/** A socket to network interfaces. */
import * as z from 'zod';
import { fanoutId, MOST_ADDRESS, MOST_MEMBERSHIPS } from '../../packet.js';
import { bytes, index, int } from '../fields.js';
import { packetRingSchema } from '../packet-ring.js';
import { common, interfaceName, socketFilter } from './common.js';
import { kindModel } from './model.js';

const schema = z.object({
  kind: z.literal('packet'),
  ...common,
  type: z.enum(['datagram', 'raw']),
  /** `ETH_P_*`, as a number of this processor; 0: no packet reaches it. */
  protocol: int.min(0).max(0xffff),
  /** The one that it is bound to; `null`: all. */
  interface: interfaceName.nullable(),
  /** That interface is down, and the program has been told (ENETDOWN). */
  toldDown: z.boolean(),
  options: z.array(z.object({ level: index, option: index, value: bytes })),
  filter: socketFilter,
  /** What it has asked of interfaces, the earliest first. */
  memberships: z.array(
    z.object({
      interface: interfaceName,
      /** `PACKET_MR_*` */
      type: int.min(0).max(0xffff),
      address: bytes.refine((value) => value.length <= MOST_ADDRESS, 'no hardware address'),
      /** How often it has. */
      count: int.min(1).max(MOST_MEMBERSHIPS),
    }),
  ),
  /** Its fanout group as getsockopt(2) tells it: id, type, flags. */
  fanout: int.min(0).max(0xffff_ffff).nullable(),
  /** Of what it receives, in memory. */
  ring: packetRingSchema.nullable().default(null),
});

type Packet = z.infer<typeof schema>;

/** A socket to network interfaces. */
export const packet = kindModel({
  schema,
  title: () => 'packet socket',
  describe,
});

function describe({ type, protocol, interface: on, memberships, fanout, ring }: Packet): string {
  const parts = [
    `${type}, protocol 0x${protocol.toString(16).padStart(4, '0')}`,
    on === null ? '' : `on ${on}`,
    memberships.length === 0 ? '' : `${memberships.length} memberships`,
    fanout === null ? '' : `fanout group ${fanoutId(fanout)}`,
    ring === null ? '' : `a ring of ${ring.blockCount} blocks, ${ring.waiting.length} of them unread`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}
