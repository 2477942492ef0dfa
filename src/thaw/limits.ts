/** Resource limits: raised before anything is made, set as they were at the very end. */
import type { Process } from '../snapshot/schema.js';
import { USER_SPACE_END } from './addresses.js';
import type { Op } from './program.js';

/** Names of resources, by number. */
export const RESOURCES = [
  'RLIMIT_CPU',
  'RLIMIT_FSIZE',
  'RLIMIT_DATA',
  'RLIMIT_STACK',
  'RLIMIT_CORE',
  'RLIMIT_RSS',
  'RLIMIT_NPROC',
  'RLIMIT_NOFILE',
  'RLIMIT_MEMLOCK',
  'RLIMIT_AS',
  'RLIMIT_LOCKS',
  'RLIMIT_SIGPENDING',
  'RLIMIT_MSGQUEUE',
  'RLIMIT_NICE',
  'RLIMIT_RTPRIO',
  'RLIMIT_RTTIME',
] as const;
const RLIM_INFINITY = (1n << 64n) - 1n;
const MOST = (1n << 63n) - 1n;

function name(resource: number): string {
  return RESOURCES[resource] ?? `resource ${resource}`;
}

function show(limit: bigint): string {
  return limit === RLIM_INFINITY ? 'RLIM_INFINITY' : String(limit);
}

/**
 * Raises all limits as far as permitted: neither those of whoever starts the image nor the frozen ones
 * shall hinder the thaw. Refuses where a lower hard limit would: a stack that cannot grow as it could ends
 * the program without a word.
 * @param descriptors how many descriptors there must be room for
 */
export function planRaisedLimits(process: Process, descriptors: number): Op[] {
  const highest = process.descriptors.descriptors.reduce((most, { fd }) => Math.max(most, fd), 0);
  return process.limits.map(({ resource, soft, hard }): Op => {
    const common = {
      op: 'builtin',
      name: 'raise_limit',
      args: [resource, hard],
      text: `raise_limit(${name(resource)}, ${show(hard)})`,
    } as const;
    const isStack = RESOURCES[resource] === 'RLIMIT_STACK';
    const needed = isStack ? soft : BigInt(descriptors);
    switch (RESOURCES[resource]) {
      case 'RLIMIT_STACK':
      case 'RLIMIT_NOFILE':
        return {
          ...common,
          check: { kind: 'atleast', expected: needed < MOST ? needed : MOST },
          label: `cannot raise ${name(resource)} to ${needed === RLIM_INFINITY ? 'unlimited' : needed}`,
          reason: `the hard limit here is lower${isStack ? '' : `, and the process has descriptor ${highest}`}`,
        };
      case 'RLIMIT_AS':
        return process.regions.some(({ backing }) => backing.kind === 'uring')
          ? forRings(resource)
          : { ...common, check: { kind: 'none' } };
      default:
        return { ...common, check: { kind: 'none' } };
    }
  });
}

/** All room but that of an io_uring is taken while it is mapped: see urings.ts. */
function forRings(resource: number): Op {
  return {
    op: 'builtin',
    name: 'raise_limit',
    args: [resource, RLIM_INFINITY],
    check: { kind: 'atleast', expected: USER_SPACE_END },
    label: `cannot raise ${name(resource)} to ${USER_SPACE_END}`,
    reason:
      'the hard limit here is lower, and an io_uring is mapped by taking all other room for that moment',
    text: `raise_limit(${name(resource)}, ${show(RLIM_INFINITY)})`,
  };
}

/** Sets the limits as they were. A hard limit that may not be raised stays as it is here. */
export function planLimits(limits: Process['limits']): Op[] {
  return limits.map(({ resource, soft, hard }) => ({
    op: 'builtin',
    name: 'set_limit',
    args: [resource, soft, hard],
    label: `cannot set ${name(resource)}`,
    text: `set_limit(${name(resource)}, ${show(soft)}, ${show(hard)})`,
  }));
}
