/**
 * Loaded before the tool (`node --import`): no file system makes files without a name, and before memory
 * is copied for the first time the tool says `copying` and waits for a line.
 */
import { once } from 'node:events';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { O } from '../../../src/fcntl.js';
import { addon } from '../../../src/native/addon.js';

const { open } = promises;
promises.open = async (path, flags, mode) => {
  if (typeof flags === 'number' && (flags & O.TMPFILE) === O.TMPFILE) {
    throw Object.assign(new Error('EOPNOTSUPP'), { code: 'EOPNOTSUPP' });
  }
  return open(path, flags, mode);
};
syncBuiltinESMExports();

const { copy } = addon;
addon.copy = async (...args) => {
  addon.copy = copy;
  process.stdout.write('copying\n');
  await once(process.stdin, 'data');
  process.stdin.destroy();
  return copy(...args);
};
