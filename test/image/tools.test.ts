import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { PF } from '../../src/elf/constants.js';
import { writeImage } from '../../src/image/write.js';
import { contentFile, temporaryDirectory } from './files.js';
import { makeFixture } from './fixture.js';

/**
 * eu-elflint has a list of the note types that it knows in an executable, and calls all others
 * unknown: those of core files, and any that a program makes up for itself.
 */
const NOTE_TYPES = /unknown object file note type/;

/** True of a process that had such memory, and no mistake. */
const WRITABLE_CODE = /'\.text:\/usr\/bin\/counter' is both executable and writable/;

const TOOLS: readonly (readonly string[])[] = [
  ['readelf', '-aW'],
  ['readelf', '-nW'],
  ['objdump', '-p'],
  ['objdump', '-h'],
  ['gdb', '-nx', '-batch', '-ex', 'info files'],
  ['eu-readelf', '-a'],
  ['eu-elflint', '--gnu-ld'],
];

for (const [tool = '', ...options] of TOOLS) {
  test(`${tool} ${options.join(' ')} has nothing to say against an image`, async (t) => {
    if (spawnSync(tool, ['--version']).error) {
      t.log(`${tool} is not installed`);
      return t.pass();
    }
    const path = join(temporaryDirectory(t), 'frozen.bin');
    const { layout, snapshot } = makeFixture(200, { fd: contentFile(t, 200), loose: 10_000 });
    // A region that is writable and executable, and one that goes on behind its content.
    const [first, second] = layout.segments;
    const [firstSection, secondSection] = layout.sections;
    if (!first || !second || !firstSection || !secondSection) throw new Error('no segments');
    first.flags = PF.R | PF.W | PF.X;
    firstSection.writable = true;
    second.filesz = 0;
    secondSection.nobits = true;
    await writeImage(path, layout, snapshot);
    const { stdout, stderr } = spawnSync(tool, [...options, path], { encoding: 'utf8', maxBuffer: 1 << 28 });
    t.is(stderr, '');
    const complaints = stdout
      .split('\n')
      .filter((line) => tool === 'eu-elflint' || /warning|error|corrupt/i.test(line))
      .filter((line) => line !== '' && !NOTE_TYPES.test(line) && !WRITABLE_CODE.test(line));
    t.deepEqual(complaints, []);
  });
}
