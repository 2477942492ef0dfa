/**
 * How a socket gets its address and its peer. What was on as it got them is on for that moment; and what the kernel had
 * chosen, it is made to choose again.
 */
import { addressText, putTogether, SO, SOL, takeApart } from '../../inet.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';
import type { Cell, Op, Operand } from '../program.js';
import type { Bench } from './bench.js';
import { close } from './calls.js';
import { compareName, setInteger, toAddress } from './socket-calls.js';

type Inet = OpenFileOf<'inet'>;

const IP = { FREEBIND: 15, TRANSPARENT: 19, BIND_ADDRESS_NO_PORT: 24, LOCAL_PORT_RANGE: 51 } as const;
const IPV6 = { TRANSPARENT: 75, FREEBIND: 78 } as const;

/**
 * Binds and connects a socket that has its options.
 * @param another makes one with the same options, in a cell, on which is tried what the kernel chooses
 */
export function takeAddress(
  fd: Operand,
  file: Inet,
  name: string,
  bench: Bench,
  another: (made: Cell) => Op[],
): Op[] {
  const plain = [...bind(fd, file, name, bench), ...connect(fd, file, name, bench)];
  return [
    ...setSwitchedOff(fd, file, 1, name, bench),
    ...(isChosen(file) ? chooseAgain(fd, file, name, bench, another, plain) : plain),
    ...setSwitchedOff(fd, file, 0, name, bench),
  ];
}

/** The same without a peer, by bind(2) alone: tests whether the address can be had. */
export function testAddress(fd: Operand, file: Inet, name: string, bench: Bench): Op[] {
  return [...setSwitchedOff(fd, file, 1, name, bench), ...bind(fd, file, name, bench)];
}

/** Switches on or off what was on as it got its address. How others share it is up to all of them. */
export function setSwitchedOff(
  fd: Operand,
  { switchedOff, family }: Inet,
  value: 0 | 1,
  name: string,
  { arena }: Bench,
): Op[] {
  const four = family === 'ipv4';
  const options = {
    freeBind: four ? [SOL.IP, IP.FREEBIND] : [SOL.IPV6, IPV6.FREEBIND],
    transparent: four ? [SOL.IP, IP.TRANSPARENT] : [SOL.IPV6, IPV6.TRANSPARENT],
    broadcast: [SOL.SOCKET, SO.BROADCAST],
  } as const;
  return switchedOff.flatMap((what) => {
    if (what === 'reusePort') return [];
    const [level, option] = options[what];
    return [setInteger(fd, level, option, value, arena, { label: `cannot switch on ${what} (${name})` })];
  });
}

function bind(fd: Operand, file: Inet, name: string, { arena }: Bench): Op[] {
  const { local, protocol, options } = file;
  if (!local) return [];
  const label = `cannot bind ${addressText(local)} (${name})`;
  const op = toAddress('bind', fd, local, arena, { label });
  const late =
    protocol === 'tcp' &&
    takeApart(local).port === 0 &&
    !options.some(({ level, option }) => level === SOL.IP && option === IP.BIND_ADDRESS_NO_PORT);
  // Port 0 would be any port at once.
  const chooseLater = (value: number): Op =>
    setInteger(fd, SOL.IP, IP.BIND_ADDRESS_NO_PORT, value, arena, { label });
  return late ? [chooseLater(1), op, chooseLater(0)] : [op];
}

function connect(fd: Operand, { peer }: Inet, name: string, { arena }: Bench): Op[] {
  if (!peer) return [];
  const label = `cannot connect to ${addressText(peer)} (${name})`;
  return [toAddress('connect', fd, peer, arena, { label })];
}

/** Whether the kernel had chosen something of its address that it can be made to choose again. */
function isChosen({ chosen, local, peer, protocol }: Inet): boolean {
  if (chosen.length === 0 || local === null || protocol === 'raw') return false;
  return peer !== null || !chosen.includes('address');
}

/**
 * Leaves out of bind(2) what it had not been told. On another machine the kernel may choose otherwise, and what bind(2)
 * has set is not taken back: so it is tried on another socket first, and `plain` takes its place where that fails.
 */
function chooseAgain(
  fd: Operand,
  file: Inet,
  name: string,
  bench: Bench,
  another: (made: Cell) => Op[],
  plain: readonly Op[],
): Op[] {
  const trial = bench.arena.cell(-1n);
  const [otherwise, done] = [bench.mark(), bench.mark()];
  return [
    ...another(trial),
    ...setSwitchedOff(trial, file, 1, name, bench),
    ...choose(trial, file, name, bench, otherwise),
    close(trial),
    ...choose(fd, file, name, bench),
    { op: 'jump', to: done },
    { op: 'mark', name: otherwise },
    close(trial),
    ...plain,
    { op: 'mark', name: done },
  ];
}

/** @param otherwise where to go on if the kernel chooses another address, or none; without it, that is a failure */
function choose(fd: Operand, file: Inet, name: string, bench: Bench, otherwise?: string): Op[] {
  const { arena } = bench;
  const { chosen, peer, options } = file;
  const local = file.local!;
  const { host, port } = takeApart(local);
  const label = `cannot find ${addressText(local)} again (${name})`;
  const check = { kind: 'ok' as const, ...(otherwise === undefined ? {} : { jump: otherwise }) };
  const anyPort = chosen.includes('port');
  const range = (value: number): Op =>
    setInteger(fd, SOL.IP, IP.LOCAL_PORT_RANGE, value, arena, { label, check });
  const own = options.find(({ level, option }) => level === SOL.IP && option === IP.LOCAL_PORT_RANGE);
  const told = chosen.includes('address')
    ? putTogether(new Uint8Array(host.length), port)
    : Uint8Array.from(local);
  if (anyPort) told.set([0, 0], 2);
  const isNothing = anyPort && chosen.includes('address');
  return [
    ...(anyPort ? [range((port << 16) | port)] : []),
    ...(isNothing ? [] : [toAddress('bind', fd, told, arena, { label, check })]),
    ...(peer ? [toAddress('connect', fd, peer, arena, { label, check })] : []),
    ...(anyPort ? [range(own ? Buffer.from(own.value).readInt32LE(0) : 0)] : []),
    ...compareName(fd, local, arena, { label }, otherwise),
  ];
}
