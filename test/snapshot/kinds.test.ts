/** Whoever changes a kind of descriptor finds it in files of its name, and nowhere else. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { KINDS } from '../../src/snapshot/kinds/index.js';

const root = new URL('../../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const names = KINDS.map(({ schema }) => schema.shape.kind.value as string);

/** What comes to be of such a kind in several ways, and what is of no kind. */
const WAYS: Readonly<Record<string, readonly string[]>> = {
  file: ['chosen', 'device', 'namespace', 'own-proc', 'pressure', 'reference', 'regular'],
  object: ['embedded', 'memory'],
  none: ['long-path', 'other', 'secret'],
};

/** The modules beside a table that it has its rows from. */
function rowsOf(table: string): string[] {
  return [...read(table).matchAll(/^import \{ \w+ \} from '\.\/([\w-]+)\.js';$/gm)].map(
    ([, module]) => module!,
  );
}

test('each kind has one model, one plan and a test, by its name, and nothing else is in the tables', (t) => {
  t.is(new Set(names).size, names.length);
  t.deepEqual(rowsOf('src/snapshot/kinds/index.ts').sort(), [...names].sort());
  t.deepEqual(rowsOf('src/thaw/descriptors/kinds.ts').sort(), [...names].sort());
  const tests = new Set(readdirSync(new URL('test/thaw/descriptors/', root)));
  t.deepEqual(
    names.filter((name) => !tests.has(`${name}.test.ts`)),
    [],
  );
});

test('each kind is captured by a file of its name, or by one for each way to be such', (t) => {
  const expected = [...names.filter((name) => !(name in WAYS)), ...Object.values(WAYS).flat()];
  t.deepEqual(rowsOf('src/proc/descriptors/kinds.ts').sort(), expected.sort());
  for (const name of names) {
    const makes = (WAYS[name] ?? [name]).map((way) => read(`src/proc/descriptors/${way}.ts`));
    t.true(
      makes.some((text) => text.includes(`kind: '${name}'`)),
      name,
    );
  }
});
