"""Holds empty messages, which the kernel shows once, beside a connection that nobody accepts. Says `ok` if they are still there."""
import socket

MESSAGES = [b"", b"a", b""]

server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for message in MESSAGES:
    one.send(message)
    sender.sendto(message, udp.getsockname())
print("ready", flush=True)
input()
for s in (other, udp):
    s.settimeout(10)
    found = [s.recv(10) for _ in MESSAGES]
    if found != MESSAGES:
        raise SystemExit(f"found {found}")
print("ok", flush=True)
