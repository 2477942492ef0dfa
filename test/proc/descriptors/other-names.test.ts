import { linkSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { otherName } from '../../../src/proc/descriptors/other-names.js';
import { readTarget } from '../../../src/proc/descriptors/target.js';
import { startTarget } from './support.js';

test('names that are left are looked for once, for all files of a folder', async (t) => {
  const target = await startTarget(
    t,
    `
os.mkdir("far")
def lose(name, number, *others):
    at(os.open(name, os.O_RDWR | os.O_CREAT), number)
    for other in others: os.link(name, other)
    os.unlink(name)
lose("one", 10, "one left")
lose("two", 11, "two left")
lose("three", 12, "far/three")
os.link("one left", "far/one"); lose("far/one", 13)
open("four", "w").close(); os.link("four", "far/four")
at(os.open("four", os.O_RDWR), 14); at(os.open("far/four", os.O_RDWR), 15); os.link("four", "far/left")
os.unlink("four"); os.unlink("far/four")
lose("five", 16)
`,
  );
  const seen = readTarget(target.pid);
  const nameOf = (fd: number): string | null => otherName(seen.entry(fd)!, seen);
  const at = (name: string): string => join(target.folder, name);
  t.is(nameOf(10), at('one left'));
  renameSync(at('two left'), at('two moved'));
  t.is(nameOf(11), at('two left'), 'found with the first');
  t.is(nameOf(12), null);
  linkSync(at('far/three'), at('three'));
  t.is(nameOf(12), null, 'not looked for again');
  t.is(nameOf(13), at('one left'));
  t.is(nameOf(14), at('far/left'), 'in the folder of another descriptor');
  unlinkSync(at('far/left'));
  t.is(nameOf(15), at('far/left'));
  t.is(nameOf(16), null);
});
