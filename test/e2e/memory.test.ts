import { testWith } from './harness/needs.js';
import { target } from './harness/paths.js';
import { roundTrip } from './harness/round-trip.js';

const arguments_ = ['an argument', ''];

for (const linked of ['pie', 'nopie', 'static', 'static-pie', 'musl']) {
  const command = target(`core.${linked}`);
  testWith([command], `a program linked as ${linked} goes on`, (t) =>
    roundTrip(t, { command, args: arguments_ }),
  );
}

testWith([], 'an image thaws lazily', (t) =>
  roundTrip(t, { command: target('core.pie'), args: arguments_, thaw: ['--lazy'] }),
);

testWith(['setarch'], 'a program without address space randomization goes on where there is some', (t) =>
  roundTrip(t, { command: target('core.pie'), args: arguments_, before: ['setarch', '-R'] }),
);

testWith(['setarch'], 'a static program goes on where address spaces are not randomized', (t) =>
  roundTrip(t, {
    command: target('core.static'),
    args: arguments_,
    before: ['setarch', '-R'],
    beforeImage: ['setarch', '-R'],
  }),
);

testWith([], 'every kind of region comes back', (t) =>
  roundTrip(t, { command: target('memory'), goesOn: false }),
);

testWith(['setarch'], 'every kind of region comes back lazily, without randomization', (t) =>
  roundTrip(t, {
    command: target('memory'),
    args: ['lazy'],
    goesOn: false,
    freeze: ['--lazy'],
    before: ['setarch', '-R'],
  }),
);

testWith([], 'ten thousand regions come back', (t) => roundTrip(t, { command: target('regions') }));

testWith([], 'the vDSO works and is as fast as before', (t) => roundTrip(t, { command: target('vdso') }));
