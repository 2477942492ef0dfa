import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

// Only one process can hold a lease for writing: the frozen one is ended.
testWith([], 'signals that descriptors send, and leases, come back', (t) =>
  roundTrip(t, { command: target('filesignals'), goesOn: false }),
);
