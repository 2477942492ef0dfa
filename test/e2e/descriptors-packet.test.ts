import test from 'ava';
import { ownNetwork } from '../thaw/descriptors/network.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

test('packet sockets come back with options, filters, memberships and fanout group', async (t) => {
  if (!ownNetwork(t)) return;
  await roundTrip(t, { command: target('packets') });
});
