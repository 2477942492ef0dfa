import test from 'ava';
import { ownNetwork } from '../thaw/descriptors/network.js';
import { testWith } from './harness/needs.js';
import { script, target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

test('multicast, filters, raw, echo and netlink sockets come back', async (t) => {
  if (!ownNetwork(t)) return;
  await roundTrip(t, {
    command: target('network'),
    goesOn: false,
  });
});

testWith(['python3'], 'every option that the kernel takes and tells comes back', async (t) => {
  if (!ownNetwork(t)) return;
  await roundTrip(t, { command: 'python3', args: [script('scripts/options.py')], goesOn: false });
});
