// A server with state: answers each request with how many there have been. Usage: serve.mjs PORT.
import { createServer } from 'node:http';

let count = 0;
const server = createServer((_, response) => {
  response.end(`answer ${++count}\n`);
});
server.keepAliveTimeout = 0;
server.on('connection', (socket) => {
  socket.on('close', () => console.log('closed'));
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
