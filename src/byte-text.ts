/**
 * Names and paths that the kernel takes as bytes, as text: a byte that is no part of UTF-8 is a lone surrogate, U+DC80
 * to U+DCFF. The kernel cuts the name of a thread off after 15 bytes, be it within a character; paths may hold anything.
 */
import { isUtf8 } from 'node:buffer';

const LONE_SURROGATE = /\p{Cs}/u;
/**
 * Bytes as latin1: a run of characters of UTF-8 (table 3-7 of the Unicode standard), as long as a regular expression
 * may be sure to remember, or a byte that is none.
 */
const PIECE =
  /(?:[^\x80-\xff]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}){1,1024}|[\x80-\xff]/g;
const LONE = /[\ud800-\udbff][\udc00-\udfff]|([\udc80-\udcff])/g;

/** Any bytes as text, from which {@link bytesOfText} gets them back. */
export function textOfBytes(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('latin1')
    .replace(PIECE, (piece) =>
      piece.length === 1 && piece >= '\x80'
        ? String.fromCharCode(0xdc00 + piece.charCodeAt(0))
        : Buffer.from(piece, 'latin1').toString('utf8'),
    );
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
