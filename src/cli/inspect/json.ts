import type { Image } from '../../image/read.js';
import { date, permissions, signalName } from '../../names.js';
import { decodeRegisters } from '../../snapshot/registers.js';
import type { Process, Region, Thread } from '../../snapshot/schema.js';
import { escapeJson } from './escape.js';
import { bytesInFile } from './regions.js';

/** Fields that count something; all other bigints are addresses or sets of bits, and come in hexadecimal. */
const COUNTS = new Set([
  ...['realtime', 'monotonic', 'boottime', 'remaining', 'interval', 'timerSlack'],
  ...['inode', 'count', 'ticks', 'next', 'soft', 'hard', 'offset'],
]);

/**
 * What is in an image as JSON, in pieces, so that even a large one takes little memory. Addresses and
 * sets of bits are strings (`"0x401000"`), counts and nanoseconds numbers, bytes hexadecimal strings.
 */
export function* imageJson(image: Image, program?: readonly string[]): Generator<string> {
  const { processes, taken, ...rest } = image.snapshot;
  yield* pieces(
    {
      file: image.path,
      size: image.size,
      entry: image.entry,
      taken: { date: date(taken.realtime), ...taken },
      ...rest,
      segments: image.segments,
      processes: lazily(processes, presentProcess),
      ...(program && { program }),
    },
    '',
    '',
  );
  yield '\n';
}

/** A list whose elements are made one by one. */
interface Lazy {
  elements(): Generator<unknown>;
}

function lazily<T>(list: readonly T[], present: (element: T, index: number) => unknown): Lazy {
  return {
    *elements() {
      for (const [i, element] of list.entries()) yield present(element, i);
    },
  };
}

function presentProcess(process: Process): unknown {
  return {
    ...process,
    regions: lazily(process.regions, presentRegion),
    threads: lazily(process.threads, presentThread),
    signalActions: lazily(process.signalActions, (action, i) => ({
      signal: i + 1,
      name: signalName(i + 1),
      ...action,
    })),
  };
}

function presentRegion({ start, end, ...rest }: Region): unknown {
  return {
    start,
    end,
    size: Number(end - start),
    permissions: permissions(rest.prot, rest.shared),
    kind: rest.backing.kind,
    bytesInFile: bytesInFile(rest.extents),
    ...rest,
  };
}

function presentThread({ registers, ...rest }: Thread): unknown {
  return { ...rest, registers: decodeRegisters(registers) };
}

function* pieces(value: unknown, key: string, indent: string): Generator<string> {
  if (typeof value === 'bigint') yield COUNTS.has(key) ? String(value) : `"0x${value.toString(16)}"`;
  else if (typeof value === 'string') yield escapeJson(value);
  else if (value instanceof Uint8Array) yield `"${Buffer.from(value).toString('hex')}"`;
  else if (Array.isArray(value)) yield* members('[', ']', elementsOf(value), key, indent);
  else if (isLazy(value)) yield* members('[', ']', elementsOf(value.elements()), key, indent);
  else if (typeof value === 'object' && value !== null) {
    yield* members('{', '}', Object.entries(value), key, indent);
  } else yield JSON.stringify(value ?? null);
}

function* members(
  open: string,
  close: string,
  entries: Iterable<readonly [string, unknown]>,
  key: string,
  indent: string,
): Generator<string> {
  yield open;
  let separator = '\n';
  for (const [name, value] of entries) {
    yield `${separator}${indent}  ${open === '{' ? `${escapeJson(name)}: ` : ''}`;
    yield* pieces(value, open === '{' ? name : key, `${indent}  `);
    separator = ',\n';
  }
  yield separator === '\n' ? close : `\n${indent}${close}`;
}

function* elementsOf(list: Iterable<unknown>): Generator<readonly [string, unknown]> {
  for (const element of list) yield ['', element];
}

function isLazy(value: unknown): value is Lazy {
  return (
    typeof value === 'object' && value !== null && 'elements' in value && typeof value.elements === 'function'
  );
}
