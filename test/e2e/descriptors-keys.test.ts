/** Keys of TCP MD5 signatures of a socket that listens: told to CAP_NET_ADMIN alone, and secret. */
import { join } from 'node:path';
import { ownNetwork } from '../thaw/descriptors/network.js';
import { testWith } from './harness/needs.js';
import { script } from './harness/paths.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze, proc2elf } from './harness/tool.js';

const WITHOUT = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'] as const;

testWith(
  ['python3', 'setpriv'],
  'a socket that listens has its keys again, and nobody is shown them',
  async (t) => {
    if (!ownNetwork(t)) return;
    const cwd = scratch(t);
    const image = join(cwd, 'frozen.bin');
    const original = start(t, 'python3', [script('scripts/keys.py')], { cwd });
    await original.ready();
    const blind = await freeze(original.pid, image, [], { cwd }, WITHOUT);
    t.is(blind.warnings.length, 1);
    t.regex(blind.warnings[0]!, /^descriptor \d+ \(TCP, .*\) may have keys of TCP AO, or of TCP MD5/);
    const { warnings } = await freeze(original.pid, image, ['--kill'], { cwd });
    t.deepEqual(warnings, []);
    const inspected = await proc2elf(['inspect', image], { cwd });
    t.regex(inspected.stdout, /keys of TCP MD5 for 127\.0\.0\.0\/8 127\.0\.0\.1\/32/);
    const listing = await proc2elf(['inspect', '--program', image], { cwd });
    t.regex(listing.stdout, /setsockopt\([^\n]*the key of TCP MD5 for 127\.0\.0\.1\/32/);
    for (const { stdout } of [inspected, listing]) {
      t.false(stdout.includes('SECRET') || stdout.includes(Buffer.from('SECRET').toString('hex')));
    }
    const thawed = start(t, image, [], { cwd });
    thawed.send('go\n');
    await thawed.expectOk();
  },
);
