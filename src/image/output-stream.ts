import { fstatSync, fsync, type Stats } from 'node:fs';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { UsageError } from '../errors.js';
import type { Output, OutputOptions } from './output.js';
import { outputError } from './output-error.js';

const STDOUT = 1;
/** Device 1:3. Node.js opens it in the place of a stdout that is closed. */
const NULL_DEVICE = 0x103;

/**
 * stdout as the place for an image: written front to back, on disk only if it is a file.
 * @throws UsageError for a terminal, and where what must last would be lost
 */
export function streamOutput({ lasting = false, durable = false }: OutputOptions): Output {
  if (isatty(STDOUT)) {
    throw new UsageError('the image would go to the terminal: redirect stdout, or name a file with -o FILE');
  }
  const { isFile, isNull } = statStdout();
  if (lasting && isNull) {
    throw new UsageError(
      'stdout is closed or the null device: the process would be ended, and its image be lost; redirect stdout',
    );
  }
  return {
    path: '-',
    fd: STDOUT,
    stream: true,
    durable,
    async commit() {
      if (!isFile) return 0;
      try {
        if (durable) await promisify(fsync)(STDOUT);
      } catch (error) {
        throw outputError('to stdout', error);
      }
      return statStdout().blocks * 512;
    },
    async discard() {},
  };
}

function statStdout(): { isFile: boolean; isNull: boolean; blocks: number } {
  try {
    const stats: Stats = fstatSync(STDOUT);
    const isNull = stats.isCharacterDevice() && stats.rdev === NULL_DEVICE;
    return { isFile: stats.isFile(), isNull, blocks: stats.blocks };
  } catch (error) {
    throw outputError('to stdout', error);
  }
}
