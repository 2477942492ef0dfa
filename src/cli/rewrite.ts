/** What `proc2elf rewrite FILE -o NEW` does. */
import { resolve } from 'node:path';
import { UsageError } from '../errors.js';
import { formatSize } from '../image/sizes.js';
import { parseChoices, parsePtyPeer, parseTcp, parseUnixPeer } from '../proc/descriptors/choices.js';
import { parseFileChoices, parseFiles } from '../proc/file-choices.js';
import { parseEnvironment, parsePaths } from '../rewrite/changes.js';
import { rewriteImage } from '../rewrite/rewrite.js';
import { escapeControls } from './inspect/escape.js';
import { printWarnings } from './warnings.js';

/** The command line of a rewriting. */
export interface RewriteArguments {
  readonly image: string | undefined;
  readonly output: string | undefined;
  readonly dropFd: string[];
  readonly fd: string[];
  readonly external: string[];
  readonly files: string | undefined;
  readonly file: string[];
  readonly path: string[];
  readonly env: string[];
  readonly cwd: string | undefined;
  readonly tcp: string | undefined;
  readonly unixPeer: string | undefined;
  readonly ptyPeer: string | undefined;
}

/** Writes a changed copy of an image. @throws UsageError, ImageError, or whatever writing throws */
export async function runRewrite(args: RewriteArguments): Promise<void> {
  const { image, output } = args;
  if (image === undefined) throw new UsageError('which image? Say proc2elf rewrite FILE -o NEW');
  if (output === undefined) throw new UsageError('where to? Say proc2elf rewrite FILE -o NEW');
  const report = await rewriteImage(image, output, {
    descriptors: {
      ...parseChoices(args.dropFd, args.fd, undefined, args.external),
      ...(args.tcp === undefined ? {} : { tcp: parseTcp(args.tcp) }),
      ...(args.unixPeer === undefined ? {} : { unixPeer: parseUnixPeer(args.unixPeer) }),
      ...(args.ptyPeer === undefined ? {} : { ptyPeer: parsePtyPeer(args.ptyPeer) }),
    },
    files: parseFileChoices(args.files === undefined ? 'keep' : parseFiles(args.files), args.file),
    paths: parsePaths(args.path),
    ...(args.cwd === undefined ? {} : { cwd: resolve(args.cwd) }),
    environment: parseEnvironment(args.env),
  });
  const size = formatSize(report.bytesOnDisk || report.bytes);
  if (output !== '-')
    process.stdout.write(`${escapeControls(image)} rewritten into ${escapeControls(output)} (${size})\n`);
  printWarnings(report.warnings);
}
