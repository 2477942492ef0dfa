import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { type Running, start } from './harness/running.js';
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

testWith(
  ['sqlite3'],
  'sqlite3 keeps its lock in WAL mode against a process that was not frozen',
  async (t) => {
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    await run('sqlite3', ['base', 'pragma journal_mode = wal; create table numbers(number)'], { cwd });
    const open = (command: string, ...args: string[]): Running => {
      const shell = start(t, command, args, { cwd });
      shell.send('pragma wal_autocheckpoint = 0;\n');
      return shell;
    };
    const original = open('sqlite3', 'base');
    original.send('begin immediate;\ninsert into numbers values (1);\n.print ready\n');
    t.is(await original.line(), '0');
    await original.ready();
    // Errors come in their turn, between the lines.
    const other = open('sh', '-c', 'exec sqlite3 base 2>&1');
    t.is(await other.line(), '0');
    /** What the other process, which is there all the time, is told when it wants the lock. */
    const attempt = async (sql: string): Promise<string> => {
      other.send(`${sql}\n.print done\n`);
      const said = [];
      for (let line = await other.line(); line !== 'done'; line = await other.line()) said.push(line);
      return said.join('\n');
    };
    t.regex(await attempt('begin immediate;'), /locked/);
    await freeze(original.pid, image, ['--kill'], { cwd });
    await original.ending();

    // While the other has it, the image cannot have it.
    t.is(await attempt('begin immediate;'), '');
    const refused = await run(image, ['--pid=new'], { cwd });
    t.is(refused.code, 125);
    t.regex(refused.stderr, /^frozen\.bin: [^\n]*lock[^\n]*base-shm[^\n]*\n$/);
    t.is(await attempt('rollback;'), '');

    const thawed = start(t, image, ['--pid=new'], { cwd });
    thawed.send('select count(*) from numbers;\n');
    t.is(await thawed.line(), '1');
    t.regex(await attempt('insert into numbers values (0);'), /locked/);
    thawed.send('commit;\n.print done\n');
    t.is(await thawed.line(), 'done');
    t.is(await attempt('insert into numbers values (2);'), '');
    thawed.send('select sum(number) from numbers;\n');
    t.is(await thawed.line(), '3');
    for (const shell of [thawed, other]) shell.endInput();
    t.is((await thawed.ending()).code, 0);
    t.is(thawed.stderr, '');
    await other.ending();
    const check = await run('sqlite3', ['base', 'pragma integrity_check; select sum(number) from numbers'], {
      cwd,
    });
    t.is(check.stdout, 'ok\n3\n');
  },
);
