import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'descriptors that name the process and its threads come back', (t) =>
  roundTrip(t, { command: target('pidfds'), goesOn: false }),
);

testWith([], 'they name them under new ids, too', (t) =>
  roundTrip(t, { command: target('pidfds'), thaw: ['--pid=new'] }),
);
