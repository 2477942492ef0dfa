/**
 * Names and paths that the kernel takes as bytes, as text: a byte that is no part of UTF-8 is a lone surrogate, U+DC80
 * to U+DCFF. The kernel cuts the name of a thread off after 15 bytes, be it within a character; paths may hold anything.
 */
import { isUtf8 } from 'node:buffer';

const LONE_SURROGATE = /\p{Cs}/u;
const LONE = /[\ud800-\udbff][\udc00-\udfff]|([\udc80-\udcff])/g;

/** Any bytes as text, from which {@link bytesOfText} gets them back. */
export function textOfBytes(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  return piecesOf(bytes)
    .map((piece) => (isUtf8(piece) ? piece.toString('utf8') : String.fromCharCode(0xdc00 + piece[0]!)))
    .join('');
}

/** The bytes of a text that {@link textOfBytes} made; of any other its UTF-8. */
export function bytesOfText(text: string): Buffer {
  const pieces: Buffer[] = [];
  let done = 0;
  for (const { 0: found, 1: lone, index } of text.matchAll(LONE)) {
    if (lone === undefined) continue;
    pieces.push(Buffer.from(text.slice(done, index)), Buffer.of(lone.charCodeAt(0) - 0xdc00));
    done = index + found.length;
  }
  return Buffer.concat([...pieces, Buffer.from(text.slice(done))]);
}

/** Whether a text stands for bytes that are no UTF-8, so that a command line cannot say it. */
export function isBytes(text: string): boolean {
  return LONE_SURROGATE.test(text);
}

/** A path as functions of `node:fs` take it: of a string they would make U+FFFD where {@link textOfBytes} has bytes. */
export function filePath(path: string): string | Buffer {
  return isBytes(path) ? bytesOfText(path) : path;
}

/** In quotes, as a listing shows a path: what is no UTF-8 as `\xff`. */
export function quoted(text: string): string {
  const json = JSON.stringify(text);
  // Of a doubled backslash the second begins nothing.
  return isBytes(text)
    ? json.replace(/\\(?:udc([89a-f][0-9a-f])|.)/g, (all, byte) => (byte ? `\\x${byte}` : all))
    : json;
}

/** Longest character of UTF-8, in bytes. */
const LONGEST = 4;

/** Characters, and bytes that begin none. */
function piecesOf(bytes: Uint8Array): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieces.at(-1)!.length) {
    const sizes = Array.from({ length: LONGEST }, (_, i) => i + 1);
    const character = sizes.map((size) => Buffer.from(bytes.subarray(at, at + size))).find(isUtf8);
    pieces.push(character ?? Buffer.from(bytes.subarray(at, at + 1)));
  }
  return pieces;
}
