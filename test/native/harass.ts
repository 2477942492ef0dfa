/** Holds and injects into the process `argv[2]` without end, until it is killed itself. */
import { startTracer } from '../../src/native/tracer.js';
import { CLOBBER, plant } from './inject.js';
import { gadget } from './targets.js';

const pid = Number(process.argv[2]);
const at = gadget(pid);
process.stdout.write('started\n');
for (let i = 0; ; i++) {
  const tracer = startTracer();
  const tids = tracer.seize(pid);
  for (const tid of tids) tracer.state(tid);
  const tid = tids[i % tids.length]!;
  const code = plant(tracer, pid, tid, at, CLOBBER);
  tracer.run(tid, code, code + 65536n, 0n);
  if (i % 2 === 0) tracer.syscall(tid, at, 11, [code, 65536n]); // munmap
  tracer.release('run');
  tracer.close();
}
