import { join } from 'node:path';
import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';
import { start } from './harness/running.js';
import { scratch } from './harness/scratch.js';
import { freeze } from './harness/tool.js';

const WAIT = 10;
const FROZEN_AFTER = 8;
// Started over, the wait would take 18 seconds.
const LONGEST = 17;

const PROGRAM = `
import select, time, threading
def wait():
    begin = time.monotonic()
    events = select.epoll().poll(${WAIT})
    took = time.monotonic() - begin
    print('ok' if events == [] and ${WAIT} <= took < ${LONGEST} else f'wrong: {events} after {took} s', flush=True)
thread = threading.Thread(target=wait)
thread.start()
time.sleep(${FROZEN_AFTER})
print('ready', flush=True)
thread.join()
`;

testWith(['python3'], 'epoll_wait in the process that runs on ends when it would have', async (t) => {
  const cwd = scratch(t);
  const running = start(t, 'python3', ['-c', PROGRAM], { cwd });
  await running.ready();
  await freeze(running.pid, join(cwd, 'frozen.bin'), [], { cwd });
  await running.expectOk();
  t.is(running.stdout, 'ready\nok\n');
});

testWith([], 'epoll_wait that a program makes by itself keeps its registers', (t) =>
  roundTrip(t, { command: target('polling') }),
);
