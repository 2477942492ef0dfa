/** The part of binary-parser that is used here: its package hides its own types from ESM importers. */
declare module 'binary-parser' {
  interface FieldOptions {
    readonly formatter?: (value: number) => unknown;
  }
  export class Parser {
    endianness(endianness: 'little' | 'big'): this;
    uint8(name: string, options?: FieldOptions): this;
    uint16(name: string, options?: FieldOptions): this;
    uint32(name: string, options?: FieldOptions): this;
    uint64(name: string, options?: FieldOptions): this;
    parse(bytes: Uint8Array): unknown;
  }
}
