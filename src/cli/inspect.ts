import type { Writable } from 'node:stream';
import type { CommandModule } from 'yargs';
import { type Image, readImage } from '../image/read.js';
import { imageJson } from './inspect/json.js';
import { print } from './inspect/print.js';
import { type Style, styleFor } from './inspect/style.js';
import { describeImage } from './inspect/text.js';

export interface InspectOptions {
  /** JSON instead of text. */
  readonly json?: boolean;
  /** The thaw programs: alone as text, beside all else as JSON. */
  readonly program?: boolean;
}

/** Prints what is in an image. Takes little memory whatever the size of the image. */
export async function inspectImage(
  image: Image,
  options: InspectOptions = {},
  stream: Writable & { readonly isTTY?: boolean } = process.stdout,
): Promise<void> {
  await print(piecesOf(image, options, styleFor(stream)), stream);
}

/** `proc2elf inspect FILE [--json] [--program]`. */
export const inspectCommand: CommandModule<object, InspectOptions & { readonly file: string }> = {
  command: 'inspect <file>',
  describe: 'Show what is in an image',
  builder: (yargs) =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: 'The image' })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })
      .option('program', { type: 'boolean', default: false, describe: 'List the thaw programs' }),
  async handler({ file, json, program }) {
    await inspectImage(await readImage(file), { json, program });
  },
};

function* piecesOf(image: Image, options: InspectOptions, style: Style): Generator<string> {
  if (options.json) yield* imageJson(image);
  else for (const line of describeImage(image, style)) yield `${line}\n`;
}
