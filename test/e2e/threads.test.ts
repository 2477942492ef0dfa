import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

const newIds = { thaw: ['--pid=new'], stderr: /^([^\n]+\n)?$/ };

testWith([], 'registers up to AVX come back', (t) =>
  roundTrip(t, { command: target('registers'), args: ['avx'] }),
);

testWith([], 'AVX-512 registers come back', (t) =>
  roundTrip(t, { command: target('registers'), args: ['avx512'] }),
);

testWith([], 'a thousand threads come back', (t) => roundTrip(t, { command: target('threads') }));

testWith([], 'threads live on under new ids', (t) =>
  roundTrip(t, { command: target('threads'), args: ['20', 'new-ids'], ...newIds }),
);

testWith([], 'locks stay held, waits stay in flight', (t) => roundTrip(t, { command: target('locks') }));

testWith([], 'blocked calls go on for the time left, without an error', (t) =>
  roundTrip(t, { command: target('blocked') }),
);

testWith([target('exceptions')], 'C++ exceptions in flight are caught', (t) =>
  roundTrip(t, { command: target('exceptions') }),
);
