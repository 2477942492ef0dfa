import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'marks of fanotify come back', (t) => roundTrip(t, { command: target('marks'), goesOn: false }));
