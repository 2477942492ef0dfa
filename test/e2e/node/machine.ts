/** Another node: a virtual machine with Debian's kernel, busybox and images, and no other file. */
import { chmodSync, cpSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { repository, which } from '../harness/paths.js';
import { type Outcome, run } from '../harness/tool.js';

const folder = join(repository, 'test/e2e/node');
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'proc2elf');

/** What the node needs on this machine. */
export const nodePrograms = ['qemu-system-x86_64', 'busybox', 'cpio', 'gzip', 'apt-get', 'dpkg-deb'] as const;

/** How one image ended on the node. */
export interface Resumed {
  readonly lines: readonly string[];
  readonly code: number;
}

async function must(outcome: Promise<Outcome>): Promise<void> {
  const { code, stdout, stderr } = await outcome;
  if (code !== 0) throw new Error(`ends with ${code}: ${stderr}${stdout}`);
}

/** Path of the kernel, fetched once. */
async function kernel(): Promise<string> {
  await must(run('sh', [join(folder, 'fetch-kernel.sh'), cache], { cwd: folder }));
  return join(cache, 'vmlinuz');
}

/** Packs an initial file system of busybox, the init script and the images. */
async function packFileSystem(
  cwd: string,
  images: readonly string[],
  strict: readonly string[],
): Promise<string> {
  const root = join(cwd, 'root');
  for (const name of ['bin', 'proc', 'dev', 'images', 'strict'])
    mkdirSync(join(root, name), { recursive: true });
  cpSync(which('busybox') as string, join(root, 'bin/busybox'));
  cpSync(join(folder, 'init'), join(root, 'init'));
  chmodSync(join(root, 'init'), 0o755);
  for (const image of images) cpSync(image, join(root, 'images', basename(image)));
  for (const image of strict) cpSync(image, join(root, 'strict', basename(image)));
  const pack = 'cd root && find . | cpio -o -H newc --quiet | gzip -1 > ../file-system.gz';
  await must(run('sh', ['-c', pack], { cwd }));
  return join(cwd, 'file-system.gz');
}

/**
 * Boots the node with some images, which it resumes one after the other.
 * @param strict images that are resumed under strict overcommit, again and again with more room: `NAME-KILOBYTES`
 * @returns what each printed and its exit code, by the image's file name, and the kernel's release
 */
export async function resumeOnNode(
  cwd: string,
  images: readonly string[],
  strict: readonly string[] = [],
): Promise<{ release: string; resumed: Map<string, Resumed> }> {
  const args = ['-kernel', await kernel(), '-initrd', await packFileSystem(cwd, images, strict)];
  args.push('-append', 'console=ttyS0 quiet panic=-1 rdinit=/init');
  args.push('-m', '1024', '-cpu', 'max', '-accel', 'tcg', '-nographic', '-no-reboot', '-net', 'none');
  const { stdout } = await run('qemu-system-x86_64', args, { cwd });
  const resumed = new Map<string, Resumed>();
  let lines: string[] = [];
  for (const line of stdout.split(/\r*\n/)) {
    const end = /^end (\S+) (\d+)$/.exec(line);
    if (end !== null) resumed.set(end[1] as string, { lines, code: Number(end[2]) });
    if (end !== null || line.startsWith('begin ')) lines = [];
    else lines.push(line);
  }
  const release = /kernel (6\S+)/.exec(stdout)?.[1];
  if (release === undefined) throw new Error(`the node did not start: ${stdout.slice(-2000)}`);
  return { release, resumed };
}
