import { constants } from 'node:os';

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** The first real-time signal that the C library leaves to programs. */
const SIGRTMIN = 34;

/** `SIGINT`, `SIGRTMIN+2`, or the number. */
export function signalName(signal: number): string {
  if (signal >= SIGRTMIN && signal <= 64) {
    return signal === SIGRTMIN ? 'SIGRTMIN' : `SIGRTMIN+${signal - SIGRTMIN}`;
  }
  return SIGNALS.get(signal) ?? `signal ${signal}`;
}

/** Names of the signals in a set, bit 0 being signal 1. */
export function signalSet(mask: bigint): string {
  const names: string[] = [];
  for (let signal = 1; signal <= 64; signal++) {
    if (mask & (1n << BigInt(signal - 1))) names.push(signalName(signal));
  }
  return names.join(' ') || 'none';
}

/** Signal of a `struct siginfo`: `si_signo`, its first word. */
export function siginfoSignal(siginfo: Uint8Array): string {
  return signalName(new DataView(siginfo.buffer, siginfo.byteOffset).getInt32(0, true));
}

/** Bits of XCR0 (Intel SDM, volume 1, chapter 13) with what they stand for. */
const STATE_COMPONENTS: readonly (readonly [bigint, string])[] = [
  [0x1n, 'x87'],
  [0x2n, 'SSE'],
  [0x4n, 'AVX'],
  [0x18n, 'MPX'],
  [0xe0n, 'AVX-512'],
  [0x200n, 'PKRU'],
  [0x6_0000n, 'AMX'],
];

/** What the bits of XCR0 stand for: `x87 SSE AVX`. */
export function stateComponents(xcr0: bigint): string {
  const names = STATE_COMPONENTS.filter(([bits]) => xcr0 & bits).map(([, name]) => name);
  return names.join(' ') || 'nothing';
}

/** Clocks by number, `<time.h>`. */
const CLOCKS = ['REALTIME', 'MONOTONIC', 'PROCESS_CPUTIME_ID', 'THREAD_CPUTIME_ID', 'MONOTONIC_RAW'];

/** `CLOCK_MONOTONIC`, or the number. */
export function clockName(clock: number): string {
  const name = { 7: 'BOOTTIME', 8: 'REALTIME_ALARM', 9: 'BOOTTIME_ALARM', 11: 'TAI' }[clock] ?? CLOCKS[clock];
  return name ? `CLOCK_${name}` : `clock ${clock}`;
}

const ACCESS_MODES = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_ACCMODE'];

/** File status flags that a descriptor keeps, `<fcntl.h>` of x86-64. */
const STATUS_FLAGS: readonly (readonly [number, string])[] = [
  [0o2000, 'O_APPEND'],
  [0o4000, 'O_NONBLOCK'],
  [0o20000, 'O_ASYNC'],
  [0o40000, 'O_DIRECT'],
  [0o200000, 'O_DIRECTORY'],
  [0o400000, 'O_NOFOLLOW'],
  [0o1000000, 'O_NOATIME'],
  [0o10000000, 'O_PATH'],
];

/** `O_WRONLY|O_APPEND`. */
export function openFlags(flags: number): string {
  const names = STATUS_FLAGS.filter(([bit]) => flags & bit).map(([, name]) => name);
  return [ACCESS_MODES[flags & 3], ...names].join('|');
}

/** `rw-p`, as in `/proc/PID/maps`. */
export function permissions(prot: number, shared: boolean): string {
  return `${prot & 1 ? 'r' : '-'}${prot & 2 ? 'w' : '-'}${prot & 4 ? 'x' : '-'}${shared ? 's' : 'p'}`;
}

/** Nanoseconds as seconds: `1.5 s`. */
export function duration(nanoseconds: bigint): string {
  return `${Number(nanoseconds) / 1e9} s`;
}

/** Date of a CLOCK_REALTIME value in nanoseconds: `2026-01-31T12:00:00.000Z`; the number if it is none. */
export function date(realtime: bigint): string {
  const time = new Date(Number(realtime / 1_000_000n));
  return Number.isNaN(time.getTime()) ? `${realtime} ns` : time.toISOString();
}
