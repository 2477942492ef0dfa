import type * as z from 'zod';
import { ImageError } from '../errors.js';
import { checkConsistency } from './consistency.js';
import { type Snapshot, snapshotSchema } from './schema.js';

/**
 * A snapshot as bytes: JSON in which a bigint is `{"$n":"7f00"}` (hexadecimal) and bytes are
 * `{"$b":"AAEC"}` (base64). Keys come in the order of the schema, so equal snapshots give equal bytes.
 * @throws ImageError if the value is not a snapshot
 */
export function encodeSnapshot(snapshot: Snapshot): Uint8Array {
  return Buffer.from(JSON.stringify(validate(snapshot), tag));
}

/**
 * The snapshot that {@link encodeSnapshot} wrote. The bytes are not trusted.
 * @throws ImageError saying what is wrong and where
 */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  let value: unknown;
  try {
    value = untag(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (error) {
    // SyntaxError, TypeError (UTF-8) or, from nesting without end, RangeError.
    throw new ImageError(`the snapshot is damaged: ${firstLine(error)}`);
  }
  return validate(value);
}

function validate(value: unknown): Snapshot {
  const result = snapshotSchema.safeParse(value);
  if (!result.success) throw new ImageError(`the snapshot is damaged: ${describeIssue(result.error)}`);
  checkConsistency(result.data);
  return result.data;
}

function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  const place = (issue?.path ?? []).map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`));
  return `${place.join('').replace(/^\./, '') || 'snapshot'}: ${issue?.message ?? 'invalid'}`;
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // The message quotes the bytes that it could not read.
  return text.replace(/[^\x20-\x7e]+/g, '?').slice(0, 200);
}

/** A replacer of JSON.stringify: one value at a time, as a tree of all of them would be as large as the snapshot. */
function tag(this: Readonly<Record<string, unknown>>, key: string): unknown {
  const value = this[key]; // as it is, where JSON.stringify has already made something else of a Buffer
  if (typeof value === 'bigint') return { $n: value < 0n ? `-${(-value).toString(16)}` : value.toString(16) };
  if (value instanceof Uint8Array) {
    return { $b: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') };
  }
  return value;
}

function untag(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untag);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first && typeof first[1] === 'string') {
    if (first[0] === '$n') return parseNumber(first[1]);
    if (first[0] === '$b') return parseBytes(first[1]);
  }
  return Object.fromEntries(entries.map(([key, member]) => [key, untag(member)]));
}

function parseNumber(text: string): bigint {
  const [, sign, digits] = /^(-?)([0-9a-f]{1,16})$/.exec(text) ?? [];
  if (digits === undefined) throw new SyntaxError(`not a number: ${JSON.stringify(text.slice(0, 40))}`);
  const value = BigInt(`0x${digits}`);
  return sign === '-' ? -value : value;
}

function parseBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  // Node skips what is not base64, so a damaged text shows only in that it does not come back.
  if (bytes.toString('base64') !== text) throw new SyntaxError('not base64');
  return new Uint8Array(bytes);
}
