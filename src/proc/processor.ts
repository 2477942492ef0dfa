/** The processor of this machine, and what of it a process uses. */
import { readFileSync } from 'node:fs';
import { addon } from '../native/addon.js';
import type { Process, Processor, Thread } from '../snapshot/schema.js';
import { xstateInUse } from '../thaw/frame.js';

const XSAVE_LEAF = 0xd;
/** x87, SSE: every x86-64 processor. */
const BASE = 3n;
const XTILEDATA = 1n << 18n;
/** XTILECFG and XTILEDATA. */
const AMX = (1n << 17n) | XTILEDATA;
/** AVX, AVX-512 (opmask, ZMM_Hi256, Hi16_ZMM), PKRU, AMX. */
const OPTIONAL = (1n << 2n) | (7n << 5n) | (1n << 9n) | AMX;

/** Where this processor keeps its XSAVE components (standard form); index is the component's number. */
export function xsaveComponents(): { offset: number; size: number }[] {
  const xcr0 = addon.xcr0();
  return Array.from({ length: 19 }, (_, i) => {
    if (i < 2 || !(xcr0 & (1n << BigInt(i)))) return { offset: 0, size: 0 };
    const [size, offset] = addon.cpuid(XSAVE_LEAF, i);
    return { offset: offset >>> 0, size: size >>> 0 };
  });
}

/**
 * What a process needs of a processor, as bits of XCR0: the register sets that are in use. A program whose
 * C library chose its AVX-512 routines shows it here: they leave their mask and upper registers in use.
 * AMX has to be asked for: who has the permission will use it.
 */
export function requiredFeatures(
  threads: readonly Pick<Thread, 'xstate'>[],
  permittedFeatures: bigint,
): bigint {
  const used = threads.reduce((bits, { xstate }) => bits | xstateInUse(xstate), BASE);
  const asked = permittedFeatures & XTILEDATA ? AMX : 0n;
  return BASE | (used & OPTIONAL) | asked;
}

/** This processor, and what of it the process needs. */
export function describeProcessor(process: Pick<Process, 'threads' | 'permittedFeatures'>): Processor {
  const xcr0 = addon.xcr0();
  const info = readFileSync('/proc/cpuinfo', 'utf8');
  const line = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(info)?.[1] ?? 'unknown';
  return {
    vendor: line('vendor_id'),
    model: line('model name'),
    xcr0,
    components: xsaveComponents(),
    required: requiredFeatures(process.threads, process.permittedFeatures),
  };
}
