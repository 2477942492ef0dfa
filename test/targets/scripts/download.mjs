// Serves a large file that is made as it is sent. Usage: download.mjs PORT BYTES.
import { createServer } from 'node:http';
import { Readable } from 'node:stream';

const SIZE = Number(process.argv[3]);
const PIECE = 1 << 16;

/** Each word of it is its own number. */
function* content() {
  for (let at = 0; at < SIZE; at += PIECE) {
    yield Buffer.from(Uint32Array.from({ length: PIECE / 4 }, (_, i) => at / 4 + i).buffer);
  }
}

const server = createServer((_, response) => {
  response.setHeader('Content-Length', SIZE);
  Readable.from(content()).pipe(response);
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
