import { closeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { createMap, lookUp, MapType } from '../../src/kernel/bpf.js';
import { testKernel } from './support.js';

const { alloc } = Buffer;
test.afterEach(() => {
  Buffer.alloc = alloc;
});

testKernel('what a call refers to is there until it is made, however often memory is collected', (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const map = createMap(MapType.ARRAY, 8);
  const value = new Uint8Array(8);
  let others: Uint8Array[] = [];
  let calls = 0;
  // Between the moment in which addresses are taken and the call; by then the code is compiled.
  Buffer.alloc = ((size: number) => {
    if (++calls > 50_000 && calls % 100 === 0) {
      collect();
      others = Array.from({ length: 1000 }, () => new Uint8Array(4).fill(0xff));
    }
    return alloc(size);
  }) as typeof alloc;
  try {
    t.notThrows(() => {
      while (calls < 60_000) lookUp(map, value);
    });
    t.is(others.length, 1000);
  } finally {
    closeSync(map);
  }
});
