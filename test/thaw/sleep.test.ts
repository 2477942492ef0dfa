import test from 'ava';
import {
  decodeRegisters,
  encodeRegisters,
  REGISTERS,
  type RegisterSet,
} from '../../src/snapshot/registers.js';
import type { Thread } from '../../src/snapshot/schema.js';
import { buildStub, leaveStub, stubRemaining, timeoutArgument } from '../../src/thaw/sleep.js';

const NANOSLEEP = 35;
const POLL = 7;
const ADDRESS = 0x7f00_0000_0000n;

function registers(values: Partial<RegisterSet>): Uint8Array {
  const set = Object.fromEntries(REGISTERS.map((name) => [name, 0n])) as RegisterSet;
  return encodeRegisters({ ...set, ...values });
}

function thread(values: Partial<RegisterSet>, number: number, remaining: bigint): Thread {
  return { registers: registers(values), sleep: { number, remaining } } as Thread;
}

test('a stub makes the call with the time left and knows the way back', (t) => {
  const sleeper = thread({ rip: 0x1000n, rdi: 0x2000n, rax: 35n }, NANOSLEEP, 1_500_000_000n);
  const built = buildStub(ADDRESS, sleeper)!;
  t.is(stubRemaining(built.stub), 1_500_000_000n);
  t.is(decodeRegisters(built.registers).rip, ADDRESS);
  const atCall = registers({ rip: ADDRESS + 15n, rax: 35n, rdi: ADDRESS + 48n });
  const back = decodeRegisters(leaveStub(atCall, built.stub, ADDRESS));
  t.is(back.rip, 0x1000n);
  t.is(back.rax, 35n);
  t.is(back.rdi, 0x2000n);
});

test('a thread whose call has ended leaves the stub behind its own call', (t) => {
  const { stub } = buildStub(ADDRESS, thread({ rip: 0x1000n, rdi: 0x2000n }, NANOSLEEP, 1n))!;
  const ended = registers({ rip: ADDRESS + 17n, rax: 0n, rdi: ADDRESS + 48n });
  const back = decodeRegisters(leaveStub(ended, stub, ADDRESS));
  t.is(back.rip, 0x1002n);
  t.is(back.rax, 0n);
  t.is(back.rdi, 0x2000n);
});

test('a wait for events of io_setup goes on for the time left, its other operands as they were', (t) => {
  const IO_GETEVENTS = 208;
  const waiting = { rip: 0x1000n, rdi: 1n, rsi: 2n, rdx: 3n, r10: 4n, r8: 0x2000n };
  const { stub, registers: there } = buildStub(ADDRESS, thread(waiting, IO_GETEVENTS, 2_000_000_001n))!;
  t.deepEqual([...stub.subarray(0, 10)], [0x49, 0xb8, 40, 0, 0, 0, 0, 0x7f, 0, 0]);
  t.deepEqual(decodeRegisters(there), { ...decodeRegisters(registers(waiting)), rip: ADDRESS });
  const atCall = registers({ ...waiting, rip: ADDRESS + 15n, r8: ADDRESS + 40n });
  t.deepEqual(leaveStub(atCall, stub, ADDRESS), registers({ ...waiting, rax: BigInt(IO_GETEVENTS) }));
  t.is(timeoutArgument(IO_GETEVENTS, registers({ ...waiting, r8: 0n })), null);
});

test('registers elsewhere are left alone', (t) => {
  const { stub } = buildStub(ADDRESS, thread({ rip: 0x1000n, rdi: 1n }, NANOSLEEP, 1n))!;
  const elsewhere = registers({ rip: 0x1234n });
  t.is(leaveStub(elsewhere, stub, ADDRESS), elsewhere);
});

test('milliseconds are rounded up, never down to an early return', (t) => {
  const { stub } = buildStub(ADDRESS, thread({ rip: 0x1000n, rdx: 5000n }, POLL, 1_000_001n))!;
  t.is(Buffer.from(stub).readBigUInt64LE(2), 2n);
});

test('calls without a relative timeout have none', (t) => {
  t.is(timeoutArgument(POLL, registers({ rdx: 0xffff_ffffn })), null, 'poll without end');
  t.is(timeoutArgument(230, registers({ rsi: 1n, rdx: 8n })), null, 'clock_nanosleep TIMER_ABSTIME');
  t.is(timeoutArgument(202, registers({ rsi: 9n, r10: 8n })), null, 'FUTEX_WAIT_BITSET has a deadline');
  t.is(timeoutArgument(202, registers({ rsi: 128n, r10: 0n })), null, 'futex without timeout');
  t.is(timeoutArgument(0, registers({})), null, 'read');
  t.deepEqual(timeoutArgument(202, registers({ rsi: 128n, r10: 8n })), { register: 'r10', kind: 'timespec' });
});
