/** Real programs, each frozen in mid-work, ended, resumed, and checked to the end of its work. */

import { testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

for (const mode of ['compute', 'sleep', 'threads']) {
  testWith(['python3'], `CPython goes on: ${mode}`, (t) =>
    roundTrip(t, { command: 'python3', args: [script('scripts/work.py'), mode] }),
  );
}

testWith(['perl'], 'Perl goes on', (t) =>
  roundTrip(t, { command: 'perl', args: [script('scripts/work.pl')] }),
);

testWith(['lua5.4'], 'Lua goes on', (t) =>
  roundTrip(t, { command: 'lua5.4', args: [script('scripts/work.lua')], goFile: true, goesOn: false }),
);

testWith(['bash'], 'a loop of bash builtins goes on', (t) =>
  roundTrip(t, { command: 'bash', args: [script('scripts/work.sh')] }),
);

testWith([], 'Node.js goes on with its timers, workers and files', (t) =>
  roundTrip(t, { command: process.execPath, args: [script('scripts/work.mjs')], goesOn: false }),
);

testWith([target('goroutines')], 'Go goes on', (t) => roundTrip(t, { command: target('goroutines') }));

testWith(['java', target('Sum.class')], 'Java goes on with its threads and garbage collector', (t) =>
  roundTrip(t, {
    command: 'java',
    args: ['-Xmx64m', '-cp', target(''), 'Sum'],
    goesOn: false,
  }),
);

testWith(['java', target('Sum.class')], 'Java that keeps no shared file is not harmed', (t) =>
  roundTrip(t, { command: 'java', args: ['-Xmx64m', '-XX:-UsePerfData', '-cp', target(''), 'Sum'] }),
);
