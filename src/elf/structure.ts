import { Parser } from 'binary-parser';
import { ELFCLASS64, ELFDATA2LSB } from './constants.js';

/**
 * Kinds of fields, as the specification names them. `Native` stands for `Addr`, `Off` and `Xword`,
 * whose width is that of the class; in the neutral form it is a bigint.
 */
type Kind = 'Byte' | 'Half' | 'Word' | 'Native';

/** A structure of the file as a table: its fields in the order in which they lie there. */
export type Fields<T> = readonly (readonly [keyof T & string, Kind])[];

/** Class and data encoding of a file: `e_ident[EI_CLASS]` and `e_ident[EI_DATA]`. */
export interface Encoding {
  readonly class: number;
  readonly data: number;
}

/** The encoding in which this program writes. */
export const ELF64_LSB: Encoding = { class: ELFCLASS64, data: ELFDATA2LSB };

const parsers = new Map<object, Map<string, Parser>>();

/** Size in bytes of a structure. */
export function sizeOf<T>(fields: Fields<T>, encoding: Encoding): number {
  return fields.reduce((sum, [, kind]) => sum + widthOf(kind, encoding), 0);
}

/** Reads one structure from the beginning of `bytes`, which must be long enough. */
export function decode<T>(fields: Fields<T>, encoding: Encoding, bytes: Uint8Array): T {
  return parserFor(fields, encoding).parse(bytes) as T;
}

/** Writes one structure as `ELFCLASS64`, `ELFDATA2LSB`. */
export function encode<T extends object>(fields: Fields<T>, value: T): Uint8Array {
  const out = Buffer.alloc(sizeOf(fields, ELF64_LSB));
  let at = 0;
  for (const [name, kind] of fields) {
    const field = value[name as keyof T] as number | bigint;
    const width = widthOf(kind, ELF64_LSB);
    if (width === 8) out.writeBigUInt64LE(BigInt(field), at);
    else out.writeUIntLE(Number(field), at, width);
    at += width;
  }
  return out;
}

function widthOf(kind: Kind, encoding: Encoding): number {
  if (kind === 'Native') return encoding.class === ELFCLASS64 ? 8 : 4;
  return { Byte: 1, Half: 2, Word: 4 }[kind];
}

function parserFor<T>(fields: Fields<T>, encoding: Encoding): Parser {
  const key = `${encoding.class} ${encoding.data}`;
  const known = parsers.get(fields) ?? new Map<string, Parser>();
  parsers.set(fields, known);
  let parser = known.get(key);
  if (!parser) {
    parser = new Parser().endianness(encoding.data === ELFDATA2LSB ? 'little' : 'big');
    for (const [name, kind] of fields) addField(parser, name, kind, encoding);
    known.set(key, parser);
  }
  return parser;
}

function addField(parser: Parser, name: string, kind: Kind, encoding: Encoding): void {
  const width = widthOf(kind, encoding);
  if (width === 1) parser.uint8(name);
  else if (width === 2) parser.uint16(name);
  else if (width === 8) parser.uint64(name);
  else parser.uint32(name, kind === 'Native' ? { formatter: BigInt } : {});
}
