import { linkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { UsageError } from '../../src/errors.js';
import { FileDecisions, parseFileChoices } from '../../src/proc/file-choices.js';
import { makeFolder } from '../folder.js';

test('paths and what becomes of them; relative ones start at the folder', (t) => {
  const { all, paths } = parseFileChoices('embed', ['a=reopen', '/b=c=embed', 'd=./embed', 'e=f'], '/srv');
  t.is(all, 'embed');
  t.deepEqual(
    [...paths],
    [
      ['/srv/a', { kind: 'reopen' }],
      ['/b=c', { kind: 'embed' }],
      ['/srv/d', { kind: 'open', path: '/srv/embed' }],
      ['/srv/e', { kind: 'open', path: '/srv/f' }],
    ],
  );
});

for (const file of [['a'], ['a='], ['=a'], ['a=embed', 'b/../a=reopen'], ['a=embed', 'a=embed']]) {
  test(`refused: --file ${file.join(' --file ')}`, (t) => {
    t.throws(() => parseFileChoices('reopen', file, '/srv'), { instanceOf: UsageError });
  });
}

function twoNames() {
  const folder = makeFolder('files-');
  const [a, b] = [join(folder, 'a'), join(folder, 'b')] as const;
  writeFileSync(a, '');
  linkSync(a, b);
  return { a, b, stat: statSync(a, { bigint: true }) };
}

test('a file is the same by each of its names', (t) => {
  const { a, b, stat } = twoNames();
  const decisions = new FileDecisions(parseFileChoices('reopen', [`${a}=embed`]));
  t.throws(() => decisions.assertUsed(42), {
    instanceOf: UsageError,
    message: new RegExp(`--file ${a}: process 42`),
  });
  t.deepEqual(decisions.of(b, stat), { kind: 'embed' });
  t.deepEqual(decisions.of('/other', { dev: 0n, ino: 0n }), { kind: 'reopen' });
  t.notThrows(() => decisions.assertUsed(42));
  t.throws(() => new FileDecisions(parseFileChoices('reopen', [`${a}=embed`, `${b}=reopen`])), {
    instanceOf: UsageError,
    message: /the same file as/,
  });
});

test('a deleted file goes by the path that it had', (t) => {
  const { a, b } = twoNames();
  const file = { dev: 0n, ino: 0n };
  const embedding = (...paths: string[]) =>
    new FileDecisions(
      parseFileChoices(
        'reopen',
        paths.map((path) => `${path}=embed`),
      ),
    );
  const gone = `${a}-gone`;
  const decisions = embedding(gone);
  t.is(decisions.chosen(`${a}-gone-too (deleted)`, file), null);
  t.deepEqual(decisions.chosen(`${gone} (deleted)`, file), { kind: 'embed' });
  t.notThrows(() => decisions.assertUsed(42));
  // Another file stands there now.
  t.is(embedding(a).chosen(`${a} (deleted)`, file), null);
  t.deepEqual(embedding(`${a} (deleted)`).chosen(`${a} (deleted)`, file), { kind: 'embed' });
  // It is called so.
  const called = `${gone} (deleted)`;
  linkSync(b, called);
  t.is(embedding(gone).chosen(called, statSync(called, { bigint: true })), null);
});

test('descriptors follow a mapping that is embedded, unless told otherwise', (t) => {
  const { a, stat } = twoNames();
  const general = new FileDecisions();
  general.embed(stat);
  t.is(general.of(a, stat).kind, 'embed');
  const told = new FileDecisions(parseFileChoices('embed', [`${a}=reopen`]));
  told.embed(stat);
  t.is(told.of(a, stat).kind, 'reopen');
});
