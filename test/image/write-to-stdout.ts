/** Writes the image of the fixture to stdout: run by the tests as a program of its own. */
import { prepareOutput } from '../../src/image/output.js';
import { writeContents } from '../../src/image/write.js';
import { openContent } from './files.js';
import { makeFixture } from './fixture.js';

const pages = Number(process.argv[2] ?? 9);
const { layout, snapshot } = makeFixture(pages, { fd: openContent(pages) });
try {
  const output = await prepareOutput('-');
  await writeContents(output, layout, snapshot);
  await output.commit();
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
