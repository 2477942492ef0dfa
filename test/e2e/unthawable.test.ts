/**
 * What is not as it was where an image is run: found before the process goes on, told in one line with the
 * descriptor's number and what it was, and nothing is left behind.
 */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, Server } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { THAW_DATA } from '../../src/image/layout.js';
import { readImage } from '../../src/image/read.js';
import { freePort } from './harness/client.js';
import { leaveOut, testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { asUser, nobody } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, run } from './harness/tool.js';

const isRoot = process.getuid?.() === 0;

interface Case {
  readonly what: string;
  /** What hold.py has open besides the socket file `socket`. */
  readonly holds: string;
  /** Done between the freeze and the thaw. */
  breaks(place: (name: string) => string): unknown;
  /** What the line says behind `frozen.bin: cannot`. */
  readonly says: RegExp;
}

const CASES: readonly Case[] = [
  {
    what: 'a working directory that is gone',
    holds: 'inside:within',
    breaks: (place) => rmdirSync(place('within')),
    says: /^ enter the working directory \/.*\/within: ENOENT$/,
  },
  {
    what: 'a file that is gone',
    holds: 'write:file',
    breaks: (place) => rmSync(place('file')),
    says: /^ reopen \/.*\/file \(descriptor 3, file\): ENOENT/,
  },
  {
    what: 'a folder in the place of a file that was read',
    holds: 'read:file',
    breaks: (place) => {
      rmSync(place('file'));
      mkdirSync(place('file'));
    },
    says: /^ reopen \/.*\/file \(descriptor 3, file\): it is no longer a regular file$/,
  },
  {
    what: 'a folder in the place of a file that was written',
    holds: 'write:file',
    breaks: (place) => {
      rmSync(place('file'));
      mkdirSync(place('file'));
    },
    says: /^ reopen \/.*\/file \(descriptor 3, file\): EISDIR/,
  },
  {
    what: 'a file in the place of a folder',
    holds: 'folder:folder',
    breaks: (place) => {
      rmSync(place('folder'), { recursive: true });
      writeFileSync(place('folder'), '');
    },
    says: /^ reopen \/.*\/folder \(descriptor 3, directory\): ENOTDIR/,
  },
  {
    what: 'a file in the place of a FIFO',
    holds: 'fifo:fifo',
    breaks: (place) => {
      rmSync(place('fifo'));
      writeFileSync(place('fifo'), '');
    },
    says: /^ \w+ .*\/fifo .*\(descriptor 3, (FIFO|pipe)\): it is no longer a FIFO$/,
  },
  {
    what: 'a link that leads nowhere',
    holds: 'read:file',
    breaks: (place) => {
      rmSync(place('file'));
      symlinkSync('nowhere', place('file'));
    },
    says: /^ reopen \/.*\/file \(descriptor 3, file\): ENOENT/,
  },
  {
    what: 'a file that was written and is shorter now',
    holds: 'write:file',
    breaks: (place) => truncateSync(place('file'), 3),
    says: /^ reopen \/.*\/file \(descriptor 3, file\): the file is shorter than the 10 bytes it had$/,
  },
  {
    what: 'a file that was read and is longer now',
    holds: 'read:file',
    breaks: (place) => appendFileSync(place('file'), 'more'),
    says: /^ reopen \/.*\/file \(descriptor 3, file\): it no longer has the 10 bytes that it had$/,
  },
  {
    what: 'a Unix domain socket whose path is a file',
    holds: 'unix:taken',
    breaks: (place) => {
      rmSync(place('taken'));
      writeFileSync(place('taken'), '');
    },
    says: /taken.*descriptor 3|descriptor 3.*taken/,
  },
  {
    what: 'a Unix domain socket whose path is a folder',
    holds: 'unix:taken',
    breaks: (place) => {
      rmSync(place('taken'));
      mkdirSync(place('taken'));
    },
    says: /taken.*descriptor 3|descriptor 3.*taken/,
  },
  {
    what: 'a Unix domain socket at whose path another server listens',
    holds: 'unix:taken',
    breaks: (place) => {
      rmSync(place('taken'));
      return listening((server) => server.listen(place('taken')));
    },
    says: /taken.*descriptor 3|descriptor 3.*taken/,
  },
  {
    what: 'a Unix domain socket whose folder is gone',
    holds: 'unix:folder/name',
    breaks: (place) => rmSync(place('folder'), { recursive: true }),
    says: /folder\/name.*descriptor 3.*ENOENT|descriptor 3.*folder\/name.*ENOENT/,
  },
];

async function listening(listen: (server: Server) => void): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => listen(server.once('listening', resolve)));
  return server;
}

/** Everything below a folder, with what can be told from outside. */
function contents(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { mode, size, ino, mtimeMs } = lstatSync(join(folder, name));
      return [name, mode.toString(8), size, ino, mtimeMs].join(' ');
    });
}

/** Freezes hold.py with these arguments, and ends it. `within`: a prefix to be where it was started. */
async function frozen(
  t: ExecutionContext<unknown>,
  holds: readonly string[],
  { in: place = [] as readonly string[], within = (_pid: number): readonly string[] => [] } = {},
) {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  writeFileSync(join(cwd, 'file'), '0123456789');
  mkdirSync(join(cwd, 'folder'));
  const [command, ...args] = [...place, 'python3', script('scripts/hold.py'), ...holds];
  const original = start(t, command!, args, { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd }, within(original.pid));
  await original.ending();
  return { cwd, image, place: (name: string) => join(cwd, name) };
}

/** Runs an image that must say why it cannot be thawed, and leave everything as it was. */
async function refuses(
  t: ExecutionContext<unknown>,
  { cwd, image }: { cwd: string; image: string },
  says: RegExp,
  { before = [] as readonly string[], options = [] as readonly string[] } = {},
): Promise<void> {
  const as = contents(cwd);
  const [command, ...args] = [...before, image, '--pid=new', ...options] as [string, ...string[]];
  const { code, stdout, stderr } = await run(command, args, { cwd });
  const what = `${options.join(' ')}: ${stderr}`;
  t.is(code, 125, what);
  t.is(stdout, '', what);
  const lines = stderr.split('\n');
  t.regex(lines[0] ?? '', /^frozen\.bin: cannot /, what);
  t.regex(lines[0]?.slice('frozen.bin: cannot'.length) ?? '', says, what);
  // --check tells all that it finds.
  if (!options.includes('--check')) t.deepEqual(lines.slice(1), [''], what);
  t.deepEqual(contents(cwd), as, what);
}

for (const { what, holds, breaks, says } of CASES) {
  testWith(['python3'], `an image refuses ${what}`, async (t) => {
    // The other socket is behind in the order: its file must not be left.
    const places = await frozen(t, [holds, 'unix:socket']);
    const server = await breaks(places.place);
    if (server instanceof Server) t.teardown(() => server.close());
    rmSync(places.place('socket'));
    await refuses(t, places, says);
    await refuses(t, places, says, { options: ['--check'] });
  });
}

for (const kind of ['tcp', 'udp'] as const) {
  testWith(
    ['python3', 'ip', 'unshare', 'nsenter'],
    `an image refuses an address of another machine, ${kind}`,
    async (t) => {
      if (!isRoot) return leaveOut(t, 'only root can make a network');
      // Frozen in a network of its own, which has the address.
      const network = 'ip address add 192.0.2.1/24 dev lo && ip link set lo up && exec "$@"';
      const within = (pid: number) => ['nsenter', '-n', '-t', String(pid)];
      const places = await frozen(t, [`${kind}:192.0.2.1:20000`, 'unix:socket'], {
        ...{ in: ['unshare', '-n', 'sh', '-c', network, 'sh'], within },
      });
      rmSync(places.place('socket'));
      await refuses(
        t,
        places,
        /192\.0\.2\.1:20000.*descriptor 3.*EADDRNOTAVAIL|descriptor 3.*:20000.*EADDRNOTAVAIL/,
      );
    },
  );

  testWith(['python3'], `an image refuses a port that another process has, ${kind}`, async (t) => {
    const port = await freePort();
    const places = await frozen(t, [`${kind}:127.0.0.1:${port}`, 'unix:socket']);
    rmSync(places.place('socket'));
    const other = start(t, 'python3', [script('scripts/hold.py'), `${kind}:127.0.0.1:${port}`], {
      cwd: places.cwd,
    });
    await other.ready();
    await refuses(
      t,
      places,
      new RegExp(`127\\.0\\.0\\.1:${port}.*descriptor 3.*EADDRINUSE|descriptor 3.*:${port}.*EADDRINUSE`),
    );
  });
}

for (const kind of ['lock', 'flock'] as const) {
  testWith(['python3'], `an image refuses a lock that another process has, ${kind}`, async (t) => {
    const places = await frozen(t, [`${kind}:file`, 'unix:socket']);
    rmSync(places.place('socket'));
    const other = start(t, 'python3', [script('scripts/hold.py'), `${kind}:file`], { cwd: places.cwd });
    await other.ready();
    await refuses(t, places, /^ take the lock on \/.*\/file \(descriptor 3, file\): EAGAIN/);
    // Whether a lock of flock(2) can be had is not known without taking it.
    if (kind === 'lock')
      await refuses(t, places, /\/file \(descriptor 3, file\): another process holds a lock on it$/, {
        options: ['--check'],
      });
  });
}

testWith(['python3', 'setpriv'], 'an image refuses files that it may not open', async (t) => {
  if (!isRoot) return leaveOut(t, 'needs root');
  const places = await frozen(t, ['write:file', 'unix:socket']);
  chmodSync(places.cwd, 0o777);
  chmodSync(places.place('file'), 0o600);
  chmodSync(places.image, 0o755);
  rmSync(places.place('socket'));
  for (const options of [[], ['--check']]) {
    const before = asUser(nobody);
    await refuses(t, places, /^ reopen \/.*\/file \(descriptor 3, file\): EACCES/, { before, options });
  }
});

testWith(
  ['python3', 'setpriv', 'prlimit'],
  'an image names the descriptor that a limit forbids',
  async (t) => {
    const places = await frozen(t, ['1100=write:file', 'unix:socket']);
    if (isRoot) {
      chownSync(places.image, nobody, nobody);
      chmodSync(places.cwd, 0o777);
    }
    rmSync(places.place('socket'));
    const before = [...(isRoot ? asUser(nobody) : []), 'prlimit', '--nofile=600:600'];
    await refuses(t, places, /RLIMIT_NOFILE.*hard limit.*descriptor 1100/, { before });
  },
);

/** Where in the file of an image the section with its thaw programs begins. */
async function thawData(image: string): Promise<number> {
  const { sections } = await readImage(image);
  return sections.find(({ name }) => name === THAW_DATA)!.offset;
}

testWith([], 'an image of which a part is missing says so', async (t) => {
  const cwd = scratch(t);
  const image = join(cwd, 'frozen.bin');
  const original = start(t, target('answer'), [], { cwd });
  await original.ready();
  await freeze(original.pid, image, ['--kill'], { cwd });
  const whole = readFileSync(image);
  const copy = join(cwd, 'copy.bin');
  const ends = [whole.length - 1, whole.length - 4096, await thawData(image), whole.length >> 1, 32768];
  for (const size of ends) {
    writeFileSync(copy, whole.subarray(0, size), { mode: 0o700 });
    const { code, stdout, stderr } = await run(copy, [], { cwd });
    t.deepEqual(
      { code, stdout, stderr },
      {
        code: 125,
        stdout: '',
        stderr: `copy.bin: the image is cut short: ${size} of ${whole.length} bytes are there: copy or freeze it again\n`,
      },
    );
  }
  // As a machine may leave it that lost its power before all was on disk.
  const holes = Buffer.from(whole);
  holes.fill(0, await thawData(image));
  writeFileSync(copy, holes, { mode: 0o700 });
  const { code, stderr } = await run(copy, ['--check'], { cwd });
  t.is(code, 125);
  t.is(stderr, 'copy.bin: the image is damaged: its thaw program is not there: copy or freeze it again\n');
});
