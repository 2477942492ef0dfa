import test from 'ava';
import { ownNetwork } from '../thaw/descriptors/network.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

test('multicast, filters, raw, echo and netlink sockets come back', async (t) => {
  if (!ownNetwork(t)) return;
  await roundTrip(t, {
    command: target('network'),
    goesOn: false,
  });
});
