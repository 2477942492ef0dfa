import type { Writable } from 'node:stream';
import { UsageError } from '../errors.js';
import { type Image, readImage } from '../image/read.js';
import { escapeControls } from './inspect/escape.js';
import { imageJson } from './inspect/json.js';
import { print } from './inspect/print.js';
import { type Style, styleFor } from './inspect/style.js';
import { describeImage } from './inspect/text.js';

/** Lists thaw programs: content of the thaw data segment, its address, the address of its header. */
export type Disassemble = (data: Uint8Array, address: bigint, header: bigint) => string | Iterable<string>;

/** In which form an image is shown. */
export interface InspectOptions {
  /** JSON instead of text. */
  readonly json?: boolean;
  /** The thaw programs as this lists them: alone as text, beside all else as JSON. */
  readonly program?: Disassemble;
}

/** Prints what is in an image. Takes little memory whatever the size of the image. */
export async function inspectImage(
  image: Image,
  options: InspectOptions = {},
  stream: Writable & { readonly isTTY?: boolean } = process.stdout,
): Promise<void> {
  await print(piecesOf(image, options, styleFor(stream)), stream);
}

/** The command line of an inspection. */
export interface InspectArguments {
  readonly file: string | undefined;
  readonly json: boolean;
  readonly program: boolean;
}

/** What `proc2elf inspect FILE [--json] [--program]` does. @throws ImageError, UsageError */
export async function runInspect({ file, json, program }: InspectArguments): Promise<void> {
  if (file === undefined) throw new UsageError('which image? Say proc2elf inspect FILE');
  const image = await readImage(file);
  const listing = program ? { program: (await import('../thaw/disassembler.js')).disassemble } : {};
  await inspectImage(image, { json, ...listing });
}

function* piecesOf(image: Image, options: InspectOptions, style: Style): Generator<string> {
  const { json, program } = options;
  if (json) yield* imageJson(image, program && [...listing(image, program)]);
  else for (const line of program ? listing(image, program) : describeImage(image, style)) yield `${line}\n`;
}

/** Lines of the listing, safe to print. */
function* listing(image: Image, disassemble: Disassemble): Generator<string> {
  const { data, headerAddress } = image.thaw;
  const listed = disassemble(data.bytes, data.address, headerAddress);
  for (const line of typeof listed === 'string' ? listed.trimEnd().split('\n') : listed)
    yield escapeControls(line);
}
