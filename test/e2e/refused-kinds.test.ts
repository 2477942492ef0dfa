/** What belongs to this machine or cannot be seen from outside is refused by a line that names it, and runs on. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { testWith } from './harness/needs.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { proc2elf } from './harness/tool.js';

/** Runs Python code that makes something, and has its freeze refused. */
async function refused(t: ExecutionContext<unknown>, code: string, says: RegExp): Promise<void> {
  const cwd = scratch(t);
  const program = `import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
${code}
print("ready", flush=True)
sys.stdin.readline()
print("ok")`;
  const running = start(t, 'python3', ['-c', program], { cwd });
  await running.ready();
  const { code: status, stderr } = await proc2elf([String(running.pid), '-o', join(cwd, 'image')], { cwd });
  t.is(status, 1);
  t.regex(stderr, says);
  await running.goAndExpectOk();
}

testWith(['python3'], 'asynchronous input and output', (t) =>
  refused(
    t,
    'assert libc.syscall(206, 64, ctypes.byref(ctypes.c_ulong(0))) == 0',
    /^proc2elf: the memory at [0-9a-f]+-[0-9a-f]+ rw-s \/\[aio\] \(deleted\) belongs to asynchronous .*\n$/,
  ),
);
