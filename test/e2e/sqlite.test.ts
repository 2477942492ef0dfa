import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

testWith(['sqlite3'], 'sqlite3 goes on in an open transaction', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  await run('sqlite3', ['base', 'create table numbers(number)'], { cwd });
  const original = start(t, 'sqlite3', ['base'], { cwd });
  original.send('pragma cache_size = 5;\nbegin;\n');
  original.send(
    'with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into numbers select i from n;\n',
  );
  original.send('.print ready\n');
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  await original.ending();

  const thawed = start(t, image, [], { cwd });
  thawed.send('insert into numbers values (20001);\nselect count(*) from numbers;\n');
  t.is(await thawed.line(), '20001');
  const other = await run('sqlite3', ['base', 'insert into numbers values (0)'], { cwd });
  t.regex(other.stderr, /locked/, 'the transaction keeps others out');
  thawed.send('commit;\n.print done\n');
  t.is(await thawed.line(), 'done');
  thawed.endInput();
  t.is((await thawed.ending()).code, 0);
  t.is(thawed.stderr, '');
  const check = await run('sqlite3', ['base', 'pragma integrity_check; select sum(number) from numbers'], {
    cwd,
  });
  t.is(check.stdout, `ok\n${(20001 * 20002) / 2}\n`);
});
