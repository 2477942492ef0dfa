import { fstatSync, fsync, type Stats } from 'node:fs';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { UsageError } from '../errors.js';
import type { Output } from './output.js';
import { outputError } from './output-error.js';

const STDOUT = 1;

/** stdout as the place for an image: written front to back, on disk only if it is a file. */
export function streamOutput(): Output {
  if (isatty(STDOUT)) {
    throw new UsageError('the image would go to the terminal: redirect stdout, or name a file with -o FILE');
  }
  const { isFile } = statStdout();
  return {
    path: '-',
    fd: STDOUT,
    stream: true,
    async commit() {
      if (!isFile) return 0;
      try {
        await promisify(fsync)(STDOUT);
      } catch (error) {
        throw outputError('to stdout', error);
      }
      return statStdout().blocks * 512;
    },
    async discard() {},
  };
}

function statStdout(): { isFile: boolean; blocks: number } {
  try {
    const stats: Stats = fstatSync(STDOUT);
    return { isFile: stats.isFile(), blocks: stats.blocks };
  } catch (error) {
    throw outputError('to stdout', error);
  }
}
