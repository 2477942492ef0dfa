import type { Writable } from 'node:stream';
import type { CommandModule } from 'yargs';
import { type Image, readImage } from '../image/read.js';
import { escapeControls } from './inspect/escape.js';
import { imageJson } from './inspect/json.js';
import { print } from './inspect/print.js';
import { type Style, styleFor } from './inspect/style.js';
import { describeImage } from './inspect/text.js';

/** Lists thaw programs: content of the thaw data segment, its address, the address of its header. */
export type Disassemble = (data: Uint8Array, address: bigint, header: bigint) => string | Iterable<string>;

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

interface Arguments {
  readonly file: string;
  readonly json: boolean;
  readonly program: boolean;
}

/** `proc2elf inspect FILE [--json] [--program]`. */
export const inspectCommand: CommandModule<object, Arguments> = {
  command: 'inspect <file>',
  describe: 'Show what is in an image',
  builder: (yargs) =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'The image' })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })
      .option('program', { type: 'boolean', default: false, describe: 'List the thaw programs' }),
  async handler({ file, json, program }) {
    const image = await readImage(file);
    await inspectImage(image, { json, ...(program && { program: await loadDisassembler() }) });
  },
};

const DISASSEMBLER: string = new URL('../thaw/disassembler.js', import.meta.url).href;

async function loadDisassembler(): Promise<Disassemble> {
  const { disassemble }: { disassemble: Disassemble } = await import(DISASSEMBLER);
  return disassemble;
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
