import { testAsRoot, testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

testWith([], 'datagrams that wait in UDP sockets come back, generation after generation', (t) =>
  roundTrip(t, { command: target('queues'), generations: 3 }),
);

testWith([], 'they need no privilege where their senders are of this host', (t) =>
  roundTrip(t, {
    command: target('queues'),
    stderr: /^([^\n]+\n)?$/, // new ids are announced in one line
    ...(process.getuid?.() === 0 ? { uid: 65534 } : {}),
  }),
);

testAsRoot('datagrams that are being put together are sent when they are whole, and not before', (t) =>
  roundTrip(t, { command: target('corked'), generations: 3 }),
);
