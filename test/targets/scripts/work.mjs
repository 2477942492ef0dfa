// Node.js at work: timers, worker threads, a file being written. Works in the current directory.
import { createHash } from 'node:crypto';
import { createWriteStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

function chain(from, start, count) {
  let hash = from;
  for (let number = start; number < start + count; number++) {
    hash = createHash('sha256').update(`${hash}${number}`).digest('hex');
  }
  return hash;
}

function work() {
  let hash = '';
  let number = 0;
  parentPort.on('message', () => {
    parentPort.postMessage({ number, hash });
    parentPort.close();
  });
  const step = () => {
    hash = chain(hash, number, 50);
    number += 50;
    if (number % 500 === 0) parentPort.postMessage({ number });
    // Lets messages in.
    setImmediate(step);
  };
  step();
}

async function main() {
  let ticks = 0;
  let lines = 0;
  const file = createWriteStream('written');
  const progress = new Map();
  const workers = [0, 1].map((id) => new Worker(fileURLToPath(import.meta.url), { workerData: id }));
  const results = workers.map(
    (worker, id) =>
      new Promise((resolve) => {
        worker.on('message', (message) => {
          progress.set(id, message.number);
          if (message.hash !== undefined) resolve(message);
        });
      }),
  );
  const writing = setInterval(() => {
    ticks++;
    file.write(`${++lines}\n`);
  }, 5);
  const until = (condition) =>
    new Promise((resolve) => {
      const poll = setInterval(() => {
        if (!condition()) return;
        clearInterval(poll);
        resolve();
      }, 1);
    });
  const input = createInterface({ input: process.stdin });
  await until(() => ticks > 5 && progress.size === 2);
  console.log('ready');
  await new Promise((resolve) => input.once('line', resolve));
  input.close();
  const before = ticks;
  const reached = progress.get(0);
  await until(() => ticks > before + 5 && progress.get(0) > reached + 500);
  clearInterval(writing);
  for (const worker of workers) worker.postMessage('report');
  for (const { number, hash } of await Promise.all(results)) {
    if (chain('', 0, number) !== hash) throw new Error('a worker skipped or repeated a number');
  }
  for (const worker of workers) await worker.terminate();
  await new Promise((resolve) => file.end(resolve));
  const expected = Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join('');
  if (readFileSync('written', 'utf8') !== expected) throw new Error('the file has a gap or a repeat');
  console.log('ok');
  process.exit(0);
}

if (isMainThread) await main();
else work(workerData);
