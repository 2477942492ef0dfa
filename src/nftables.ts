/**
 * The hold: an nftables table that drops the packets of TCP connections while their process is an image.
 * Messages of nfnetlink as bytes: `linux/netfilter/nfnetlink.h`, `nf_tables.h`.
 */
import { onWire, takeApart } from './inet.js';
import {
  attribute,
  attributesOf,
  message,
  NLM,
  NLMSGHDR,
  nested,
  stringAttribute,
  wordAttribute,
} from './netlink.js';

/** Types of messages: the subsystem above, the message below. */
const SUBSYSTEM = 10;
const NFT = { NEWTABLE: 0, GETTABLE: 1, DELTABLE: 2, NEWCHAIN: 3, NEWRULE: 6, NEWSET: 9, NEWSETELEM: 12 };
const GETGEN = 16;
/** `NFTA_TABLE_*` */
const TABLE = { NAME: 1, OWNER: 7 } as const;
/** `sizeof (struct nfgenmsg)` */
const NFGENMSG = 4;
const BATCH_BEGIN = 16;
const BATCH_END = 17;
/** The family of tables for IPv4 and IPv6 alike. */
const NFPROTO_INET = 1;
/** `NFTA_LIST_ELEM`, `NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT` */
const ELEMENT = 1;
const VALUE = 1;
const VERDICT = 2;
const NF_DROP = 0;
const NF_ACCEPT = 1;
/** The first of the registers of four bytes. */
const REGISTER = 8;
const META = { MARK: 3, NFPROTO: 15, L4PROTO: 16 } as const;
const BASE = { NETWORK: 1, TRANSPORT: 2 } as const;
const TCP = 6;
/** Elements of a set that go into one message: an attribute ends at 64 KiB. */
const AT_A_TIME = 1000;
/** Type of a comment among the user data of a table, as nft(8) has it. */
const COMMENT = 0;

/** Segments with this mark pass: those by which a thaw tells its own socket what the peer had said. */
export const PASSING_MARK = 0x7032_6500;

/** The type of the reply to {@link askForTable} where the table is there. */
export const TABLE_IS_THERE = (SUBSYSTEM << 8) | NFT.NEWTABLE;

/** Both ends of a connection: `struct sockaddr_in` or `sockaddr_in6`. */
export interface Ends {
  readonly local: Uint8Array;
  readonly peer: Uint8Array;
}

/** Families of packets: `NFPROTO_*`, where a header has the addresses, and how nft(8) is to show a set. */
const FAMILIES = [
  { set: 'ipv4', number: 2, size: 4, source: 12, destination: 16, type: 7 },
  { set: 'ipv6', number: 10, size: 16, source: 8, destination: 24, type: 8 },
] as const;
type Family = (typeof FAMILIES)[number];
const INET_SERVICE = 13;

/** What is dropped: in which chain, at which hook (`NF_INET_*`), when. */
const CHAINS = [
  // Once the addresses are those that the socket has: behind the translation of sources.
  { name: 'input', hook: 1, priority: 200, incoming: true },
  // While they are still: before connection tracking.
  { name: 'output', hook: 3, priority: -300, incoming: false },
] as const;

/**
 * A table that drops what comes from and goes to these connections; all of it or nothing is made.
 * @param comment for people who list it
 */
export function makeTable(name: string, comment: string, connections: readonly Ends[]): Buffer {
  const text = Buffer.from(`${comment}\0`).subarray(0, 255);
  return batch(
    request(
      NFT.NEWTABLE,
      stringAttribute(1, name),
      attribute(6, Buffer.concat([Uint8Array.of(COMMENT, text.length), text])),
    ),
    ...FAMILIES.flatMap((family, index) => [
      request(
        NFT.NEWSET,
        stringAttribute(1, name),
        stringAttribute(2, family.set),
        wordAttribute(3, 0),
        wordAttribute(
          4,
          [family.type, family.type, INET_SERVICE, INET_SERVICE].reduce((all, part) => (all << 6) | part),
        ),
        wordAttribute(5, 2 * family.size + 8),
        wordAttribute(10, index + 1),
      ),
      ...elements(name, family, connections),
    ]),
    ...CHAINS.flatMap((chain) => [
      request(
        NFT.NEWCHAIN,
        stringAttribute(1, name),
        stringAttribute(3, chain.name),
        nested(4, wordAttribute(1, chain.hook), wordAttribute(2, chain.priority >>> 0)),
        wordAttribute(5, NF_ACCEPT),
        stringAttribute(7, 'filter'),
      ),
      rule(name, chain.name, [meta(META.MARK, word(PASSING_MARK)), verdict(NF_ACCEPT)]),
      ...FAMILIES.map((family) => rule(name, chain.name, dropping(family, chain.incoming))),
    ]),
  );
}

/** Removes a table. The reply carries an errno: 0, or ENOENT where there is none. */
export function removeTable(name: string): Buffer {
  return batch(message(typeOf(NFT.DELTABLE), NLM.REQUEST | NLM.ACK, general(), stringAttribute(1, name)));
}

/** Asks whether a table is there; see {@link TABLE_IS_THERE}. */
export function askForTable(name: string): Buffer {
  return message(typeOf(NFT.GETTABLE), NLM.REQUEST, general(), stringAttribute(1, name));
}

/** Asks for all tables of all families. */
export function askForTables(): Buffer {
  return message(typeOf(NFT.GETTABLE), NLM.REQUEST | NLM.DUMP, general(0));
}

/** Names of the tables that a socket owns, with which they end, among the replies to {@link askForTables}. */
export function ownedTables(
  replies: readonly { readonly type: number; readonly bytes: Buffer }[],
  port: number,
): string[] {
  return replies
    .filter(({ type }) => type === TABLE_IS_THERE)
    .map(({ bytes }) => attributesOf(bytes.subarray(NLMSGHDR + NFGENMSG)))
    .filter((table) => table.get(TABLE.OWNER)?.readUInt32BE() === port)
    .map((table) => table.get(TABLE.NAME)!.toString('latin1').replace('\0', ''));
}

/** Asks for the number of changes so far: nothing but a sign that the kernel has nf_tables. */
export function askForGeneration(): Buffer {
  return message(typeOf(GETGEN), NLM.REQUEST, general(0));
}

/** What holds connections, and how to give them up; for people. */
export function holdLine(name: string): string {
  return `the nftables table inet ${name} holds the TCP connections until the image is run; to give them up: nft delete table inet ${name}`;
}

/** What to do about a process that was left stopped with connections that are held; for people. */
export function stoppedAdvice(pid: number | string, name: string): string {
  return `end it before the image is run (kill -KILL ${pid}), or go on with it instead (nft delete table inet ${name}; kill -CONT ${pid})`;
}

/** The name of a table that holds the connections of a process. @param mark eight hexadecimal digits */
export function holdName(pid: number, mark: string): string {
  return `proc2elf-${pid}-${mark}`;
}

/** The process whose connections a table holds, by its name. */
export function heldProcess(name: string): string {
  return name.split('-')[1] ?? '';
}

function typeOf(number: number): number {
  return (SUBSYSTEM << 8) | number;
}

/** `struct nfgenmsg` */
function general(family = NFPROTO_INET, resource = 0): Buffer {
  const bytes = Buffer.from([family, 0, 0, 0]);
  bytes.writeUInt16BE(resource, 2);
  return bytes;
}

function batch(...requests: readonly Buffer[]): Buffer {
  const mark = (type: number) => message(type, NLM.REQUEST, general(0, SUBSYSTEM));
  return Buffer.concat([mark(BATCH_BEGIN), ...requests, mark(BATCH_END)]);
}

/** Something new, behind what is there, with an answer. */
function request(type: number, ...attributes: readonly Buffer[]): Buffer {
  return message(typeOf(type), NLM.REQUEST | NLM.CREATE | NLM.APPEND | NLM.ACK, general(), ...attributes);
}

function elements(table: string, family: Family, connections: readonly Ends[]): Buffer[] {
  const keys = connections.flatMap((ends) => keyOf(ends, family) ?? []);
  const pieces = Array.from({ length: Math.ceil(keys.length / AT_A_TIME) }, (_, i) =>
    keys.slice(i * AT_A_TIME, (i + 1) * AT_A_TIME),
  );
  return pieces.map((piece) =>
    request(
      NFT.NEWSETELEM,
      stringAttribute(1, table),
      stringAttribute(2, family.set),
      nested(3, ...piece.map((key) => nested(ELEMENT, nested(1, attribute(VALUE, key))))),
    ),
  );
}

/** Peer and own address, peer's and own port; `null` for a connection whose packets are of the other family. */
function keyOf({ local, peer }: Ends, { size }: Family): Buffer | null {
  const [own, its] = [takeApart(local), takeApart(peer)];
  const [ownHost, itsHost] = [onWire(own.host), onWire(its.host)];
  if (ownHost.length !== size) return null;
  const ports = Buffer.alloc(8);
  ports.writeUInt16BE(its.port, 0);
  ports.writeUInt16BE(own.port, 4);
  return Buffer.concat([itsHost, ownHost, ports]);
}

function rule(table: string, chain: string, expressions: readonly (readonly Buffer[])[]): Buffer {
  const list = nested(4, ...expressions.flat().map((one) => nested(ELEMENT, one)));
  return request(NFT.NEWRULE, stringAttribute(1, table), stringAttribute(2, chain), list);
}

function dropping({ set, number, size, source, destination }: Family, incoming: boolean): Buffer[][] {
  const [its, own] = incoming ? [source, destination] : [destination, source];
  const [itsPort, ownPort] = incoming ? [0, 2] : [2, 0];
  const registers = size / 4;
  return [
    meta(META.NFPROTO, Uint8Array.of(number)),
    meta(META.L4PROTO, Uint8Array.of(TCP)),
    [
      load(BASE.NETWORK, its, size, 0),
      load(BASE.NETWORK, own, size, registers),
      load(BASE.TRANSPORT, itsPort, 2, 2 * registers),
      load(BASE.TRANSPORT, ownPort, 2, 2 * registers + 1),
      expression('lookup', stringAttribute(1, set), wordAttribute(2, REGISTER)),
    ],
    verdict(NF_DROP),
  ];
}

function expression(name: string, ...attributes: readonly Buffer[]): Buffer {
  return Buffer.concat([stringAttribute(1, name), nested(2, ...attributes)]);
}

/** A property of the packet must have this value. */
function meta(key: number, value: Uint8Array): Buffer[] {
  return [
    expression('meta', wordAttribute(1, REGISTER), wordAttribute(2, key)),
    expression('cmp', wordAttribute(1, REGISTER), wordAttribute(2, 0), nested(3, attribute(VALUE, value))),
  ];
}

/** A part of the packet into a register, counted from the first. */
function load(base: number, offset: number, size: number, register: number): Buffer {
  const words = [REGISTER + register, base, offset, size];
  return expression('payload', ...words.map((value, i) => wordAttribute(i + 1, value)));
}

function verdict(code: number): Buffer[] {
  const data = nested(2, nested(VERDICT, wordAttribute(1, code)));
  return [expression('immediate', wordAttribute(1, 0), data)];
}

/** In the order of this machine, as marks are compared. */
function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
