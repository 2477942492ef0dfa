import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'timers and signals behind descriptors come back', (t) =>
  roundTrip(t, { command: target('timerfds') }),
);
