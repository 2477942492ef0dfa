import test from 'ava';
import { resumeRegisters } from '../../src/proc/resume.js';
import {
  decodeRegisters,
  encodeRegisters,
  REGISTERS,
  type RegisterSet,
} from '../../src/snapshot/registers.js';

function stopped(rax: bigint, orig_rax: bigint): Uint8Array {
  const set = Object.fromEntries(REGISTERS.map((name) => [name, 0n])) as RegisterSet;
  return encodeRegisters({ ...set, rip: 0x1002n, rax, orig_rax });
}

const resumed = (rax: bigint, orig: bigint, deliverable: Parameters<typeof resumeRegisters>[1] = null) => {
  const { rip, rax: value } = decodeRegisters(resumeRegisters(stopped(rax, orig), deliverable));
  return { rip, rax: BigInt.asIntN(64, value) };
};

test('a thread in its own code goes on there', (t) => {
  t.deepEqual(resumed(-512n, -1n), { rip: 0x1002n, rax: -512n });
});

for (const error of [4n, 512n, 513n, 514n, 516n]) {
  test(`a call stopped with -${error} is made again`, (t) => {
    t.deepEqual(resumed(-error, 34n), { rip: 0x1000n, rax: 34n });
  });
}

test('a call that has its result keeps it', (t) => {
  t.deepEqual(resumed(17n, 0n), { rip: 0x1002n, rax: 17n });
});

test('a handler that is about to run ends the call with EINTR', (t) => {
  const handler = { handled: true, restarts: false };
  t.deepEqual(resumed(-514n, 34n, handler), { rip: 0x1002n, rax: -4n });
  t.deepEqual(resumed(-516n, 35n, handler), { rip: 0x1002n, rax: -4n });
  t.deepEqual(resumed(-512n, 0n, handler), { rip: 0x1002n, rax: -4n });
});

test('SA_RESTART and ERESTARTNOINTR make the call again behind the handler', (t) => {
  t.deepEqual(resumed(-512n, 0n, { handled: true, restarts: true }), { rip: 0x1000n, rax: 0n });
  t.deepEqual(resumed(-513n, 0n, { handled: true, restarts: false }), { rip: 0x1000n, rax: 0n });
});
