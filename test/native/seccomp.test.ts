import test from 'ava';
import { startTracer, type TracerError } from '../../src/native/tracer.js';
import { CLOBBER, plant } from './inject.js';
import { compile, gadget, read, sleep, start, status } from './targets.js';

test('a seccomp filter is suspended for an injection, or else there is none', async (t) => {
  const target = start(compile('sandboxed'));
  t.teardown(() => target.process.kill('SIGKILL'));
  t.is(await target.line(), 'ready');
  const maps = read(`/proc/${target.pid}/maps`);
  const at = gadget(target.pid);
  const tracer = startTracer();
  tracer.seize(target.pid);
  try {
    const code = plant(tracer, target.pid, target.pid, at, CLOBBER);
    tracer.run(target.pid, code, code + 65536n, 0n);
  } catch (error) {
    t.is((error as TracerError).code, 'EPERM');
  }
  tracer.release('run');
  tracer.close();
  await sleep(50);
  t.is(target.process.signalCode, null);
  t.is(status(target.pid, 'Seccomp'), '2');
  t.is(read(`/proc/${target.pid}/maps`), maps);
});
