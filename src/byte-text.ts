/**
 * Names that the kernel takes as bytes, as text: a byte that is no part of UTF-8 is a lone surrogate, U+DC80 to
 * U+DCFF. The kernel cuts the name of a thread off after 15 bytes, be it within a character.
 */
const LONE = /[\ud800-\udbff][\udc00-\udfff]|([\udc80-\udcff])/g;

/** Any bytes as text, from which {@link bytesOfText} gets them back. */
export function textOfBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  if (Buffer.from(text).equals(bytes)) return text;
  return piecesOf(bytes)
    .map((piece) => (isText(piece) ? piece.toString('utf8') : String.fromCharCode(0xdc00 + piece[0]!)))
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

/** Longest character of UTF-8, in bytes. */
const LONGEST = 4;

/** Characters, and bytes that begin none. */
function piecesOf(bytes: Uint8Array): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieces.at(-1)!.length) {
    const sizes = Array.from({ length: LONGEST }, (_, i) => i + 1);
    const character = sizes.map((size) => Buffer.from(bytes.subarray(at, at + size))).find(isText);
    pieces.push(character ?? Buffer.from(bytes.subarray(at, at + 1)));
  }
  return pieces;
}

function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8')).equals(bytes);
}
