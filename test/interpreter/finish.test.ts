import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Arena } from '../../src/thaw/arena.js';
import type { Op } from '../../src/thaw/program.js';
import { layoutTrampoline } from '../../src/thaw/trampoline.js';
import { CODE, codeSegments, lastActs, type ThreadSpec, WORK } from './support/finish.js';
import { buildImage, place } from './support/image.js';
import { call, main, refuse } from './support/ops.js';
import { compileFlat, killAll, type Running, start, until } from './support/run.js';

test.after.always(killAll);

const code = compileFlat('thawed.S', CODE);
const WORKER = CODE + 0x10n;
const READY = CODE + 0x20n;
const HANDLER = CODE + 0x30n;
const RESTORER = CODE + 0x40n;
const HANDLED = WORK + 0xf00n;
const COUNT = WORK + 0xf08n;
const SIGRTMIN = 34;
const SA_RESTORER = 0x0400_0000n;

/** An image whose leader says "ready" and whose other threads count themselves in. */
function makeImage(threads: number, first: (arena: Arena) => Op[] = () => []): string {
  return buildImage((arena) => {
    const spec = (i: number): ThreadSpec => ({
      registers: { rip: i === 0 ? READY : WORKER, rsp: WORK + 0x20000n + BigInt(i) * 0x2000n },
    });
    const acts = lastActs(
      arena,
      Array.from({ length: threads + 1 }, (_, i) => spec(i)),
    );
    return {
      programs: [main(...first(arena), ...acts.begin, acts.finish), ...acts.programs],
      segments: codeSegments(code),
    };
  });
}

/** A word of a process's memory. */
function word(pid: number, address: bigint): bigint {
  const bytes = Buffer.alloc(8);
  const mem = openSync(`/proc/${pid}/mem`, 'r');
  readSync(mem, bytes, 0, 8, address);
  closeSync(mem);
  return bytes.readBigUInt64LE();
}

async function allReady(process: Running, threads: number): Promise<void> {
  await process.sees('ready\n');
  await until(() => word(process.pid, COUNT) === BigInt(threads + 1), `${threads} threads`);
}

async function end(process: Running): Promise<void> {
  process.kill('SIGKILL');
  await process.ended;
}

/** Mappings of a process between the addresses of the thaw segments. */
function thawMappings(pid: number): string[] {
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n');
  return maps.filter((line) => {
    const start = BigInt(`0x${line.split('-')[0]}`);
    return start >= place.text && start < CODE;
  });
}

const PAGE_END = place.page + BigInt(layoutTrampoline(2752, 0).size);
const TRAMPOLINE = new RegExp(
  `^${place.page.toString(16)}-${PAGE_END.toString(16)} r-xp 00000000 00:00 0 *$`,
);

function assertOnlyTrampoline(t: ExecutionContext, pid: number): void {
  const left = thawMappings(pid);
  t.is(left.length, 1, left.join('\n'));
  t.regex(left[0]!, TRAMPOLINE);
  t.is(PAGE_END - place.page, 4096n);
}

for (const threads of [0, 1, 100]) {
  test(`with ${threads} other threads, nothing but the trampoline page is left`, async (t) => {
    const process = start(makeImage(threads));
    await allReady(process, threads);
    // The leader may say that it is ready only when all the rest is gone, but threads come as they come.
    assertOnlyTrampoline(t, process.pid);
    t.is(readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8'), '');
    t.regex(readFileSync(`/proc/${process.pid}/status`, 'utf8'), /^TracerPid:\t0$/m);
    t.regex(
      readFileSync(`/proc/${process.pid}/status`, 'utf8'),
      new RegExp(`^Threads:\t${threads + 1}$`, 'm'),
    );
    await end(process);
  });
}

test('a thousand threads are let go', async (t) => {
  const process = start(makeImage(1000));
  await process.sees('ready\n');
  await allReady(process, 1000);
  assertOnlyTrampoline(t, process.pid);
  await end(process);
});

test('signals that are pending reach the handler, each of them', async (t) => {
  const process = start(
    makeImage(20, (arena) => {
      const pid = arena.cell();
      const action = Buffer.from(new BigUint64Array([HANDLER, SA_RESTORER, RESTORER, 0n]).buffer);
      return [
        call('rt_sigaction', [SIGRTMIN, arena.bytes(action), 0, 8]),
        call('getpid', [], { result: pid }),
        ...Array.from({ length: 10 }, () => call('kill', [pid, SIGRTMIN])),
      ];
    }),
  );
  await allReady(process, 20);
  await until(() => word(process.pid, HANDLED) === 10n, 'ten signals');
  t.is(word(process.pid, HANDLED), 10n);
  await end(process);
});

test('being stopped and continued in the midst of it does no harm', async (t) => {
  const image = makeImage(100);
  for (let delay = 0; delay < 20; delay++) {
    const process = start(image);
    await new Promise((resolve) => setTimeout(resolve, delay));
    process.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.kill('SIGCONT');
    await allReady(process, 100);
    assertOnlyTrampoline(t, process.pid);
    await end(process);
  }
});

test('where ptrace is not permitted, the thaw segments stay and the threads go on', async (t) => {
  const process = start(makeImage(10, (arena) => refuse(arena, 101)));
  await allReady(process, 10);
  t.true(thawMappings(process.pid).length > 1);
  await end(process);
});

test('where no helper can be made, the thaw segments stay and the leader alone needs none', async (t) => {
  const alone = start(makeImage(0, (arena) => refuse(arena, 56)));
  await allReady(alone, 0);
  assertOnlyTrampoline(t, alone.pid);
  await end(alone);
});
