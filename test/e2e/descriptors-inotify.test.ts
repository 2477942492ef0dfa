import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'watches of files come back with their numbers', (t) =>
  roundTrip(t, { command: target('watches'), goesOn: false }),
);
