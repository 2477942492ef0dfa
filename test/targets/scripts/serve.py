"""A server with state: answers each request with how many there have been. Usage: serve.py MODE PORT."""
import asyncio
import http.server
import sys

count = 0


def answer():
    global count
    count += 1
    return f"answer {count}\n".encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = answer()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self):
        super().finish()
        print("closed", flush=True)

    def log_message(self, *args):
        pass


async def serve(reader, writer):
    while await reader.readline():
        writer.write(answer())
        await writer.drain()
    print("closed", flush=True)
    writer.close()


async def serve_lines(port):
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


mode, port = sys.argv[1], int(sys.argv[2])
if mode == "http":
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print("ready", flush=True)
        server.serve_forever()
else:
    asyncio.run(serve_lines(port))
