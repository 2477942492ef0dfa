// One process with everything a Node.js server has. Usage: many.mjs PORT FOLDER.
//   GET /      how many requests and timer ticks there have been
//   upgrade    a WebSocket that answers each text with how many there have been, and the text
//   FOLDER     is watched: `changed NAME`
//   `cat`      a child, to which `GET /child` speaks
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { watch } from 'node:fs';
import { createServer } from 'node:http';

const [port, folder] = process.argv.slice(2);
let requests = 0;
let messages = 0;
let ticks = 0;
setInterval(() => ticks++, 5);

const child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
child.stdin.on('error', (error) => console.log(`child ${error.code}`));
child.stdout.on('end', () => console.log('child ends'));

const server = createServer((request, response) => {
  if (request.url === '/child') {
    child.stdout.once('data', (data) => response.end(`child says ${data}\n`));
    child.stdin.write('hello');
    return;
  }
  response.end(`request ${++requests}, ${ticks} ticks\n`);
});
server.keepAliveTimeout = 0;
server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  // One short frame at a time (RFC 6455, 5.2): masked as clients must.
  socket.on('data', (frame) => {
    const mask = frame.subarray(2, 6);
    const text = frame.subarray(6).map((byte, i) => byte ^ mask[i % 4]);
    const answer = Buffer.from(`${++messages} ${text}`);
    socket.write(Buffer.concat([Buffer.from([0x81, answer.length]), answer]));
  });
  socket.on('end', () => socket.end());
  socket.on('close', () => console.log('WebSocket closes'));
});
watch(folder, (_, name) => console.log(`changed ${name}`));
child.once('spawn', () => server.listen(Number(port), '127.0.0.1', () => console.log('ready')));
