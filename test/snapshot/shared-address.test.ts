import test from 'ava';
import { onWire, putTogether, takeApart } from '../../src/inet.js';
import type { OpenFileOf } from '../../src/snapshot/descriptors.js';
import { sharesOf } from '../../src/snapshot/shared-address.js';

type Inet = OpenFileOf<'inet'>;
type How = 'reuseAddress' | 'reusePort';

const [REUSEADDR, REUSEPORT, BINDTODEVICE] = [2, 15, 25];
const HOSTS = [
  [0, 0, 0, 0],
  [10, 0, 0, 1],
  [10, 0, 0, 2],
  [...Array(16).fill(0)],
  [...Array(15).fill(0), 1],
  [...Array(10).fill(0), 255, 255, 10, 0, 0, 1],
  [...Array(10).fill(0), 255, 255, 0, 0, 0, 0],
];

/** The same numbers each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function socket(pick: (below: number) => number): Inet {
  const flag = (level: number, option: number, odds: number) =>
    pick(odds) === 0 ? [{ level, option, value: Uint8Array.of(pick(4) && 1, 0, 0, 0) }] : [];
  const device =
    pick(4) === 0 ? [{ level: 1, option: BINDTODEVICE, value: Buffer.from('ab'[pick(2)]!) }] : [];
  return {
    kind: 'inet',
    protocol: (['udp', 'udp', 'tcp', 'mptcp', 'raw'] as const)[pick(5)],
    local: pick(12)
      ? putTogether(Uint8Array.from(HOSTS[pick(HOSTS.length)]!), pick(8) ? 1 + pick(2) : 0)
      : null,
    options: [...flag(1, REUSEADDR, 3), ...flag(1, REUSEPORT, 3), ...flag(41, 26, 3), ...device],
    interfaces: [],
    backlog: pick(3) === 0 ? 1 : null,
    switchedOff: pick(3) === 0 ? ['reusePort'] : [],
    ended: pick(15) === 0 ? 'closed' : null,
    connection: null,
  } as unknown as Inet;
}

/** Of two sockets alone, as it is said: by options, interfaces and hosts. */
function howTwoShare(one: Inet, other: Inet): How | null {
  const both = (what: (file: Inet) => boolean): boolean => what(one) && what(other);
  const option = (file: Inet, level: number, number: number) =>
    file.options.find((each) => each.level === level && each.option === number)?.value;
  const isOn = (level: number, number: number) => (file: Inet) => option(file, level, number)?.[0] === 1;
  const port = (file: Inet) => takeApart(file.local!).port;
  if (!both((file) => file.local !== null && file.ended === null && file.protocol !== 'raw')) return null;
  if (!both((file) => port(file) !== 0) || port(one) !== port(other)) return null;
  if (one.protocol.replace('mp', '') !== other.protocol.replace('mp', '')) return null;
  const [device, second] = [one, other].map((file) => option(file, 1, BINDTODEVICE)?.toString());
  if (device !== undefined && second !== undefined && device !== second) return null;
  const wire = (file: Inet) => onWire(takeApart(file.local!).host).join('.');
  const isSix = (file: Inet) => wire(file).split('.').length === 16;
  const isAny = (file: Inet) => /^[0.]+$/.test(wire(file));
  const hears = (file: Inet, from: Inet): boolean =>
    wire(file) === wire(from) ||
    (isAny(file) && (isSix(file) === isSix(from) || (isSix(file) && !isOn(41, 26)(file))));
  if (!hears(one, other) && !hears(other, one)) return null;
  const bothListen = both(({ backlog }) => backlog !== null);
  if (both(isOn(1, REUSEPORT)) || (both(isOn(1, REUSEADDR)) && !bothListen)) return null;
  const byPort = both((file) => isOn(1, REUSEPORT)(file) || file.switchedOff.includes('reusePort'));
  return byPort || bothListen ? 'reusePort' : 'reuseAddress';
}

/** By each pair. */
function pairwise(files: readonly Inet[]) {
  const needed = new Map<number, Set<How>>();
  const group = files.map((_, index) => index);
  for (const [i, one] of files.entries()) {
    for (const [j, other] of files.entries()) {
      const how = i === j ? null : howTwoShare(one, other);
      if (how === null) continue;
      needed.set(i, (needed.get(i) ?? new Set()).add(how));
      const [from, to] = [group[i]!, group[j]!];
      for (const [k, of] of group.entries()) if (of === from) group[k] = to;
    }
  }
  const together = new Map(
    [...needed.keys()].map((index) => [index, [...group.keys()].filter((k) => group[k] === group[index])]),
  );
  return { needed, together };
}

/** In the order of the files; `loose`: in what order there are several for one is no matter. */
function rows(map: ReadonlyMap<number, Iterable<How | number>>, loose = true) {
  const all = [...map].sort(([a], [b]) => a - b);
  return all.map(([index, values]) => [index, loose ? [...values].sort() : [...values]]);
}

test('sockets that share an address are those of which any two share it', (t) => {
  const pick = numbers(4711);
  let found = 0;
  for (let i = 0; i < 3000; i++) {
    const files = Array.from({ length: 1 + pick(9) }, () => socket(pick));
    const expected = pairwise(files);
    const shares = sharesOf(files);
    t.deepEqual(rows(shares.needed), rows(expected.needed));
    t.deepEqual(rows(shares.together, false), rows(expected.together, false));
    found += Number(expected.together.size > 2);
  }
  t.true(found > 100);
});
