import { execFileSync } from 'node:child_process';
import test from 'ava';
import { cli } from '../e2e/harness/paths.js';

test('help breaks lines between words', (t) => {
  const help = execFileSync(process.execPath, [cli, 'freeze', '--help'], { encoding: 'utf8' });
  // The modules of yargs for ECMAScript break them anywhere; the command line is bundled with the others.
  t.regex(
    help.replace(/\s+/g, ' '),
    /when the image is run; N=null: the null device; N=inherit: take over that/,
  );
  t.true(help.split('\n').every((line) => line.length <= 100));
});
