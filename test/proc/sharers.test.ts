import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { surveySharers } from '../../src/proc/sharers.js';
import { makeFolder } from '../folder.js';
import { endWith } from './descriptors/support.js';

/** Starts a program by vfork(2), which waits for a writer before it is executed. */
const STARTER = `
import os
os.write(1, b".")
child = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 9, "fifo", os.O_RDONLY, 0)])
os.waitpid(child, 0)
`;

test('a process that is being started is given time', async (t) => {
  const cwd = makeFolder('sharers-');
  execFileSync('mkfifo', ['fifo'], { cwd });
  const stdio = ['ignore', 'pipe', 'ignore'] as const;
  const starter = spawn('python3', ['-S', '-c', STARTER], { cwd, stdio: [...stdio], detached: true });
  endWith(t, starter);
  const { pid, stdout } = starter;
  // What stands before Python may start others.
  await once(stdout!, 'data');
  const childOf = () => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  while (childOf() === '') await setImmediate();
  const child = childOf();
  let pauses = 0;
  const pause = () => {
    pauses++;
    writeFileSync(join(cwd, 'fifo'), '');
    while (!readlinkSync(`/proc/${child}/exe`).endsWith('sleep'));
  };
  t.deepEqual(surveySharers(pid!, pause), []);
  t.is(pauses, 1);
});
