/** The types of this kernel, in the format of https://docs.kernel.org/bpf/btf.html. */
import { readFileSync } from 'node:fs';

const BTF_MAGIC = 0xeb9f;
const HEADER_SIZE = 24;
/** Of `struct btf_type` itself: name_off, info, and size or type. */
const TYPE_SIZE = 12;
/** `BTF_KIND_*` of linux/btf.h. */
const Kind = {
  ...{ INT: 1, PTR: 2, ARRAY: 3, STRUCT: 4, UNION: 5, ENUM: 6, FWD: 7, TYPEDEF: 8, VOLATILE: 9, CONST: 10 },
  ...{ RESTRICT: 11, FUNC: 12, FUNC_PROTO: 13, VAR: 14, DATASEC: 15, FLOAT: 16, DECL_TAG: 17, TYPE_TAG: 18 },
  ENUM64: 19,
} as const;
/** What follows a type: bytes in any case, and bytes for each of its `vlen` members. */
const TAIL: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  [Kind.INT]: [4, 0],
  [Kind.ARRAY]: [12, 0],
  [Kind.STRUCT]: [0, 12],
  [Kind.UNION]: [0, 12],
  [Kind.ENUM]: [0, 8],
  [Kind.FUNC_PROTO]: [0, 8],
  [Kind.VAR]: [4, 0],
  [Kind.DATASEC]: [0, 12],
  [Kind.DECL_TAG]: [4, 0],
  [Kind.ENUM64]: [0, 12],
};
/** What only says something about the type behind it. */
const QUALIFIERS: ReadonlySet<number> = new Set([
  ...[Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG],
]);
/** Deeper than any structure of the kernel is nested, or qualified. */
const MOST_DEPTH = 32;

/** The types are not what they are taken for: another kernel, or a damaged table. */
export class BtfError extends Error {
  override readonly name = 'BtfError';
}

/** Where a member lies in its structure. */
export interface Member {
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes; of a bit field, of the bytes that hold it. */
  readonly size: number;
  /** Lowest bit within these bytes, and number of bits; `null` where it is no bit field. */
  readonly bits: { readonly from: number; readonly count: number } | null;
}

interface Found extends Member {
  readonly type: number;
}

/** A table of types, by which members of structures are found. */
export class Btf {
  readonly #types: Buffer;
  readonly #strings: Buffer;
  /** Offset of each type in the table; type 0 is void and has none. */
  readonly #offsets: readonly number[];
  /** What was looked for before; `null` where there is none. */
  readonly #members = new Map<string, Member | null>();

  /** @throws BtfError for what is no such table */
  constructor(bytes: Buffer) {
    if (bytes.length < HEADER_SIZE || bytes.readUInt16LE(0) !== BTF_MAGIC) throw new BtfError('no BTF');
    const body = bytes.subarray(bytes.readUInt32LE(4));
    const section = (at: number): Buffer => {
      const start = bytes.readUInt32LE(at);
      return body.subarray(start, start + bytes.readUInt32LE(at + 4));
    };
    this.#types = section(8);
    this.#strings = section(16);
    this.#offsets = offsetsOf(this.#types);
  }

  /**
   * The types of the running kernel.
   * @throws Error ENOENT where it was built without CONFIG_DEBUG_INFO_BTF
   */
  static ofKernel(): Btf {
    return new Btf(readFileSync('/sys/kernel/btf/vmlinux'));
  }

  /**
   * A member of a structure, by its path (`sq.head`); those of nameless structures inside are its own.
   * @throws BtfError where there is none
   */
  member(struct: string, path: string): Member {
    const member = this.#known(struct, path);
    if (member === null) throw new BtfError(`this kernel has no ${struct}.${path}`);
    return member;
  }

  /** Whether a structure has such a member. */
  has(struct: string, path: string): boolean {
    try {
      return this.#known(struct, path) !== null;
    } catch (error) {
      if (error instanceof BtfError) return false;
      throw error;
    }
  }

  /** Size of a structure in bytes. @throws BtfError where there is none of that name */
  sizeOf(struct: string): number {
    return this.#size(this.#struct(struct), 0);
  }

  /** To look through the table takes long, and longest for what is not there: that is asked for with each socket, too. */
  #known(struct: string, path: string): Member | null {
    const key = `${struct}.${path}`;
    const known = this.#members.get(key);
    if (known !== undefined) return known;
    const member = this.#lookFor(struct, path);
    this.#members.set(key, member);
    return member;
  }

  #lookFor(struct: string, path: string): Member | null {
    let found: Found = { ...{ offset: 0, size: 0, bits: null }, type: this.#struct(struct) };
    for (const name of path.split('.')) {
      const inner = this.#find(found.type, name, 0);
      if (!inner) return null;
      found = { ...inner, offset: found.offset + inner.offset };
    }
    const { offset, size, bits } = found;
    return { offset, size, bits };
  }

  #struct(name: string): number {
    const at = this.#strings.indexOf(`\0${name}\0`, 0, 'latin1') + 1;
    for (let id = 1; at > 0 && id < this.#offsets.length; id++) {
      if (this.#word(id, 0) === at && this.#kind(id) === Kind.STRUCT) return id;
    }
    throw new BtfError(`this kernel has no struct ${name}`);
  }

  #find(outer: number, name: string, depth: number): Found | null {
    const id = this.#plain(outer);
    const kind = this.#kind(id);
    if ((kind !== Kind.STRUCT && kind !== Kind.UNION) || depth > MOST_DEPTH) return null;
    const info = this.#word(id, 1);
    for (let i = 0; i < (info & 0xffff); i++) {
      const first = 3 + 3 * i;
      const type = this.#word(id, first + 1);
      const place = this.#word(id, first + 2);
      const called = this.#name(this.#word(id, first));
      // With the kind flag the upper eight bits are the size of a bit field.
      const [bit, count] = info >>> 31 ? [place & 0xffffff, place >>> 24] : [place, 0];
      if (called === name) return this.#memberAt(type, bit, count);
      const inner = called === '' ? this.#find(type, name, depth + 1) : null;
      if (inner) return { ...inner, offset: inner.offset + bit / 8 };
    }
    return null;
  }

  #memberAt(type: number, bit: number, count: number): Found {
    if (count === 0) return { type, offset: bit / 8, size: this.#size(type, 0), bits: null };
    const offset = Math.floor(bit / 8);
    const from = bit % 8;
    return { type, offset, size: Math.ceil((from + count) / 8), bits: { from, count } };
  }

  #size(type: number, depth: number): number {
    const id = this.#plain(type);
    switch (this.#kind(id)) {
      case Kind.PTR:
        return 8;
      case Kind.ARRAY:
        if (depth > MOST_DEPTH) throw new BtfError(`type ${id} has no end`);
        return this.#word(id, 5) * this.#size(this.#word(id, 3), depth + 1);
      case Kind.INT:
      case Kind.ENUM:
      case Kind.ENUM64:
      case Kind.STRUCT:
      case Kind.UNION:
      case Kind.FLOAT:
        return this.#word(id, 2);
      default:
        return 0;
    }
  }

  /** The type without what is only said about it. */
  #plain(type: number): number {
    let id = type;
    for (let depth = 0; QUALIFIERS.has(this.#kind(id)); depth++) {
      if (depth > MOST_DEPTH) throw new BtfError(`type ${type} has no end`);
      id = this.#word(id, 2);
    }
    return id;
  }

  #kind(id: number): number {
    return id === 0 ? 0 : (this.#word(id, 1) >>> 24) & 0x1f;
  }

  #word(id: number, index: number): number {
    const at = this.#offsets[id];
    if (at === undefined) throw new BtfError(`there is no type ${id}`);
    return this.#types.readUInt32LE(at + 4 * index);
  }

  #name(at: number): string {
    return this.#strings.toString('latin1', at, this.#strings.indexOf(0, at));
  }
}

function offsetsOf(types: Buffer): number[] {
  const offsets = [0];
  for (let at = 0; at < types.length; ) {
    if (at + TYPE_SIZE > types.length) throw new BtfError(`the type at byte ${at} is cut short`);
    const info = types.readUInt32LE(at + 4);
    const [fixed, each] = TAIL[(info >>> 24) & 0x1f] ?? [0, 0];
    const end = at + TYPE_SIZE + fixed + each * (info & 0xffff);
    if (end > types.length) throw new BtfError(`the type at byte ${at} is cut short`);
    offsets.push(at);
    at = end;
  }
  return offsets;
}
