/** Files that were opened with rights that are gone: what is told at the freeze, and what the thaw makes of it. */
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { leaveOut, testWith } from './harness/needs.js';
import { asUser, nobody } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf, run } from './harness/tool.js';

const waits = `
print("ready", flush=True)
sys.stdin.readline()
for fd in 3, 4: assert os.pread(fd, 7, 0) == b"content", fd
print("ok")`;

testWith(['python3', 'setpriv'], 'a file that its user may not open any more is warned of', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'only root can become another user');
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  chownSync(cwd, nobody, nobody);
  // Python may lie where only root finds it.
  const code = `import ctypes, os, sys
os.setgroups([]); os.setresgid(${nobody}, ${nobody}, ${nobody}); os.setresuid(${nobody}, ${nobody}, ${nobody})
PR_SET_DUMPABLE = 4
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
for name in "one", "two":
    fd = os.open(name, os.O_RDWR | os.O_CREAT); os.write(fd, b"content")
os.chmod("one", 0)${waits}`;
  const as = asUser(nobody);
  const original = start(t, 'python3', ['-c', code], { cwd });
  await original.ready();
  const said = await freeze(original.pid, image, [], { cwd }, as);
  const { warnings } = said;
  t.is(warnings.length, 1, warnings.join('\n'));
  t.regex(
    warnings[0]!,
    /^descriptor 3 \(.*\/one\): this user may not open it again \(EACCES\): .* --file .*\/one=embed, --files embed, --fd 3=PATH$/,
  );
  const embedded = join(cwd, 'embedded.bin');
  // Only root can read it now.
  const other = await freeze(original.pid, embedded, ['--file', `${join(cwd, 'one')}=embed`], { cwd });
  t.deepEqual(other.warnings, []);
  await original.goAndExpectOk();
  const { code: status, stderr } = await run(as[0] as string, [...as.slice(1), image, '--pid=new'], { cwd });
  t.is(status, 125);
  t.regex(stderr, /cannot reopen [^\n]*one \(descriptor 3, file\): [^\n]*EACCES/);
  // Root may: what was given up comes back with the process, and not before.
  await start(t, image, ['--pid=new'], { cwd }).goAndExpectOk();
  chownSync(embedded, nobody, nobody);
  chmodSync(embedded, 0o700);
  await start(t, as[0] as string, [...as.slice(1), embedded, '--pid=new'], { cwd }).goAndExpectOk();
});

/** Sets attributes as chattr(1) does. */
const attributes = `import fcntl, os, struct, sys
def change(path, flags):
    fd = os.open(path, os.O_RDONLY); fcntl.ioctl(fd, 0x40086602, struct.pack("l", flags)); os.close(fd)
IMMUTABLE, APPEND = 0x10, 0x20
`;

testWith(['python3'], 'a file that nobody may write to any more is refused', async (t) => {
  if (process.getuid?.() !== 0) return leaveOut(t, 'only root can make a file immutable');
  const cwd = scratch(t);
  const names = ['locked', 'grows'];
  for (const name of names) writeFileSync(join(cwd, name), 'content');
  const changed = (code: string) => run('python3', ['-c', `${attributes}${code}`], { cwd });
  const undo = () => changed(names.map((name) => `change("${name}", 0)`).join('\n'));
  if ((await changed('change("locked", IMMUTABLE)')).code !== 0)
    return leaveOut(t, 'this file system knows no such attributes');
  await undo();
  const code = `${attributes}
for name in "locked", "grows": os.open(name, os.O_RDWR)
os.open("grows", os.O_RDWR | os.O_APPEND); os.open("locked", os.O_RDONLY); os.open("locked", os.O_PATH)
change("locked", IMMUTABLE); change("grows", APPEND)${waits}`;
  const original = start(t, 'python3', ['-c', code], { cwd });
  try {
    await original.ready();
    const { code: status, stderr } = await proc2elf([String(original.pid), '-o', 'x.bin'], { cwd });
    t.is(status, 1);
    const lines = stderr.split('\n').filter((line) => /descriptor/.test(line));
    t.is(lines.length, 2, stderr);
    t.regex(
      lines[0]!,
      /descriptor 3 \(file, .*\/locked\) .* immutable .*; use --file .*\/locked=embed, --files embed, --drop-fd 3,/,
    );
    t.regex(
      lines[1]!,
      /descriptor 4 \(file, .*\/grows\) .* appended to .*; use --file .*\/grows=embed, --files embed, --drop-fd 4,/,
    );
    await freeze(original.pid, 'x.bin', ['--files', 'embed'], { cwd });
    await original.goAndExpectOk();
    await start(t, join(cwd, 'x.bin'), [], { cwd }).goAndExpectOk();
  } finally {
    await undo();
  }
});
