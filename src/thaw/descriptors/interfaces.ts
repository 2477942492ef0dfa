/** Network interfaces: known by name, used by the number that the name has here. */
import { call, show } from '../calls.js';
import type { Op, Operand } from '../program.js';
import type { Bench } from './bench.js';

const SIOCGIFINDEX = 0x8933;
const IFREQ = 40;
/** `ifr_ifindex` in `struct ifreq`. */
const INDEX = 16n;
/** Bytes of an interface's number. */
const INT = 4;

/** An interface that was looked up: the operations that do it, and where its number stands then. */
export interface Found {
  readonly ops: readonly Op[];
  readonly address: bigint;
}

/**
 * Looks an interface up.
 * @param fd any socket
 * @param owner name of the descriptor, for messages
 */
export function findInterface(fd: Operand, name: string, owner: string, { arena }: Bench): Found {
  const request = Buffer.alloc(IFREQ);
  request.write(name, 'latin1');
  const address = arena.bytes(request);
  const op = call('ioctl', [fd, SIOCGIFINDEX, address], {
    label: labelOf(name, owner),
    text: `ioctl(${show(fd)}, SIOCGIFINDEX, ${name})`,
  });
  return { ops: [op], address: address + INDEX };
}

function labelOf(name: string, owner: string): string {
  return `cannot find network interface ${name} (${owner})`;
}

/** Looks an interface up, and tests that it has a number. */
export function testInterface(fd: Operand, name: string, index: number, owner: string, bench: Bench): Op[] {
  const { ops, address } = findInterface(fd, name, owner, bench);
  return [
    ...ops,
    {
      op: 'test',
      address,
      width: INT,
      mask: 0xffff_ffffn,
      check: { kind: 'equal', expected: index },
      label: labelOf(name, owner),
      reason: `it has another number than ${index}`,
      text: `test ifreq.ifr_ifindex == ${index}`,
    },
  ];
}

/** Writes the number of an interface into a structure. `swapped`: in the network's order of bytes. */
export function storeIndex({ address }: Found, to: bigint, swapped = false): Op[] {
  return Array.from({ length: INT }, (_, byte) => ({
    op: 'store',
    address: to + BigInt(swapped ? INT - 1 - byte : byte),
    width: 1,
    // Loaded as a whole word, of which the lowest byte is stored.
    value: { cell: address + BigInt(byte) },
    text: `store byte ${byte} of the interface's number`,
  }));
}
