/**
 * What a terminal might take for an order: C0 and C1 control characters, line and paragraph
 * separators, and what turns the direction of writing or marks it. Halves of surrogate pairs stand for bytes that are no UTF-8.
 */
const UNSAFE =
  /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

/** A name or path out of an image, safe to print: `evil\x1b[2J`. A backslash comes doubled. */
export function escapeText(text: string): string {
  return escapeControls(text.replaceAll('\\', '\\\\'));
}

/** Text in which backslashes have a meaning already, safe to print. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, (c) => {
    const code = c.codePointAt(0) ?? 0;
    // A byte that is no UTF-8, as `textOfBytes` has it, or the control characters that are one byte in UTF-8.
    const byte = code >= 0xdc80 && code <= 0xdcff ? code - 0xdc00 : code;
    return byte < 0x80 || byte !== code
      ? `\\x${byte.toString(16).padStart(2, '0')}`
      : `\\u{${code.toString(16)}}`;
  });
}

/** A JSON string that is safe to print, too: `JSON.stringify` lets the C1 characters pass. */
export function escapeJson(text: string): string {
  return JSON.stringify(text).replace(UNSAFE, jsonEscape);
}

/** A whole value as indented JSON, safe to print. */
export function jsonText(value: unknown): string {
  // What is left of control characters outside of strings is the end of a line.
  return `${JSON.stringify(value, null, 2).replace(UNSAFE, (c) => (c === '\n' ? c : jsonEscape(c)))}\n`;
}

function jsonEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
