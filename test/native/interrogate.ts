/** Holds and asks the process `argv[2]` without end, until it is killed itself. */
import { startTracer } from '../../src/native/tracer.js';
import { interrogate } from './interrogation.js';

const pid = Number(process.argv[2]);
for (let turn = 0; ; turn++) {
  const tracer = startTracer();
  if (turn === 0) process.stdout.write('started\n');
  await interrogate(tracer, pid, turn);
  tracer.close();
}
