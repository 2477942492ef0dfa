/** Calls on IPv4 and IPv6 sockets as operations. */
import { O } from '../../fcntl.js';
import {
  AF,
  addressText,
  optionName,
  protocolNumber,
  SO,
  SO_FORCE,
  SOCK,
  SOL,
  takeApart,
  typeOf,
} from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { Arena } from '../arena.js';
import { call, type Extra, show, tolerate } from '../calls.js';
import type { Op, Operand } from '../program.js';

type Inet = OpenFileOf<'inet'>;

const SO_REUSEADDR = 2;
const SO_LOCK_FILTER = 44;
const FAMILIES = { ipv4: AF.INET, ipv6: AF.INET6 } as const;

/** socket(2) of the kind that a description is. */
export function makeSocket(file: Inet, flags: number, extra: Extra): Op {
  const type = typeOf(file.protocol);
  const number = protocolNumber(file);
  const shown = file.protocol === 'raw' ? String(number) : `IPPROTO_${file.protocol.toUpperCase()}`;
  const bits = (flags & O.NONBLOCK ? '|SOCK_NONBLOCK' : '') + (flags & O.CLOEXEC ? '|SOCK_CLOEXEC' : '');
  return call('socket', [FAMILIES[file.family], SOCK[type] | flags, number], {
    text: `socket(${file.family === 'ipv4' ? 'AF_INET' : 'AF_INET6'}, SOCK_${type}${bits}, ${shown})`,
    ...extra,
  });
}

/** bind(2) or connect(2). */
export function toAddress(
  name: 'bind' | 'connect',
  fd: Operand,
  address: Uint8Array,
  arena: Arena,
  extra: Extra,
): Op {
  return call(name, [fd, arena.bytes(address), address.length], {
    text: `${name}(${show(fd)}, ${addressText(address)})`,
    ...extra,
  });
}

/**
 * Looks whether getsockname(2) tells an address.
 * @param otherwise where to go on if it tells another; without it, that is a failure
 */
export function compareName(
  fd: Operand,
  address: Uint8Array,
  arena: Arena,
  extra: Extra,
  otherwise?: string,
): Op[] {
  return compareFound(fd, address, { offset: 0, size: address.length }, arena, extra, otherwise);
}

/** The same whatever the port is. */
export function compareHost(
  fd: Operand,
  address: Uint8Array,
  arena: Arena,
  extra: Extra,
  otherwise?: string,
): Op[] {
  const { host } = takeApart(address);
  const part = { offset: host.byteOffset - address.byteOffset, size: host.length };
  return compareFound(fd, address, part, arena, extra, otherwise);
}

function compareFound(
  fd: Operand,
  address: Uint8Array,
  { offset, size }: { offset: number; size: number },
  arena: Arena,
  extra: Extra,
  otherwise?: string,
): Op[] {
  const found = arena.reserve(32);
  return [
    call('getsockname', [fd, found, arena.bytes(Uint8Array.of(32, 0, 0, 0))], {
      ...extra,
      text: `getsockname(${show(fd)})`,
    }),
    {
      ...{ op: 'compare', left: found + BigInt(offset), right: arena.bytes(address) + BigInt(offset), size },
      check: { kind: 'equal', expected: 0, ...(otherwise === undefined ? {} : { jump: otherwise }) },
      ...extra,
      reason: 'the way leads from another address here',
      text: `compare its name, ${addressText(address)}`,
    },
  ];
}

/** setsockopt(2). */
export function setOption(
  fd: Operand,
  level: number,
  option: number,
  value: Uint8Array,
  arena: Arena,
  extra: Extra = {},
): Op {
  return call('setsockopt', [fd, level, option, arena.bytes(value), value.length], {
    text: `setsockopt(${show(fd)}, ${optionName(level, option)}, 0x${Buffer.from(value).toString('hex')})`,
    ...extra,
  });
}

/** setsockopt(2) with an int. */
export function setInteger(
  fd: Operand,
  level: number,
  option: number,
  value: number,
  arena: Arena,
  extra: Extra = {},
): Op {
  return setOption(
    fd,
    level,
    option,
    Uint8Array.from(Buffer.from(Int32Array.of(value).buffer)),
    arena,
    extra,
  );
}

/**
 * Sets SO_SNDBUF or SO_RCVBUF. Without CAP_NET_ADMIN it becomes no more than net.core.wmem_max or rmem_max.
 * @param size in bytes, as getsockopt(2) tells it: twice what is set
 */
export function setSize(
  fd: Operand,
  option: typeof SO.SNDBUF | typeof SO.RCVBUF,
  size: number,
  arena: Arena,
  extra: Extra = {},
): Op[] {
  const half = Math.ceil(size / 2);
  return [
    setInteger(fd, SOL.SOCKET, option, half, arena, extra),
    setInteger(fd, SOL.SOCKET, SO_FORCE[option], half, arena, { ...extra, check: tolerate('EPERM') }),
  ];
}

/** SO_REUSEADDR, which leaving repair mode takes away. */
export function isReuse({ level, option }: Inet['options'][number]): boolean {
  return level === SOL.SOCKET && option === SO_REUSEADDR;
}

/** SO_LOCK_FILTER, after which no filter can be set. */
export function isLock({ level, option }: Inet['options'][number]): boolean {
  return level === SOL.SOCKET && option === SO_LOCK_FILTER;
}

/** SO_PEEK_OFF. */
export function isPeekOffset({ level, option }: Inet['options'][number]): boolean {
  return level === SOL.SOCKET && option === SO.PEEK_OFF;
}

/** SO_ATTACH_FILTER. */
export function attachFilter(
  fd: Operand,
  filter: Uint8Array | null,
  name: string,
  arena: Arena,
  extra: Extra = {},
): Op[] {
  if (filter === null) return [];
  const program = Buffer.alloc(16); // struct sock_fprog
  const count = filter.length / 8;
  program.writeUInt16LE(count, 0);
  program.writeBigUInt64LE(arena.bytes(filter), 8);
  return [
    call('setsockopt', [fd, SOL.SOCKET, SO.ATTACH_FILTER, arena.bytes(program), program.length], {
      label: `cannot set a filter (${name})`,
      text: `setsockopt(${show(fd)}, SOL_SOCKET, SO_ATTACH_FILTER, [${count} instructions])`,
      ...extra,
    }),
  ];
}

/** Sets all options of a description, and its filter. */
export function setOptions(
  fd: Operand,
  { options, filter }: Pick<Inet, 'options' | 'filter'>,
  name: string,
  arena: Arena,
  extra: Extra = {},
): Op[] {
  // SO_LOCK_FILTER, which forbids another filter, is among the options.
  const first = attachFilter(fd, filter, name, arena, extra);
  const others = options.flatMap(({ level, option, value }) => {
    const all = { label: `cannot set ${optionName(level, option)} (${name})`, ...extra };
    if (level === SOL.SOCKET && (option === SO.SNDBUF || option === SO.RCVBUF)) {
      return setSize(fd, option, Buffer.from(value).readInt32LE(0), arena, all);
    }
    return [setOption(fd, level, option, value, arena, all)];
  });
  return [...first, ...others];
}
