"""A listening socket with keys of TCP MD5: after a line `go` it connects to itself, signed, and takes the keys away."""

import errno
import socket
import struct
import sys


def key(s, host, prefix, value):
    who = struct.pack("HH", socket.AF_INET, 0) + socket.inet_aton(host)
    s.setsockopt(6, 32, who.ljust(128, b"\0") + struct.pack("BBHi80s", 1, prefix, len(value), 0, value))


listener = socket.create_server(("127.0.0.1", 0))
key(listener, "127.0.0.1", 32, b"SECRET of hosts")
key(listener, "127.0.0.0", 8, b"SECRET of networks")
print("ready", flush=True)
assert sys.stdin.readline() == "go\n"
for own, value in (("127.0.0.1", b"SECRET of hosts"), ("127.0.0.2", b"SECRET of networks")):
    c = socket.socket()
    c.settimeout(60)
    c.bind((own, 0))
    key(c, "127.0.0.1", 32, value)
    c.connect(listener.getsockname())
    a = listener.accept()[0]
    a.sendall(b"signed")
    assert c.recv(6) == b"signed"
# Each is there once.
for host, prefix in (("127.0.0.1", 32), ("127.0.0.0", 8)):
    key(listener, host, prefix, b"")
    try:
        key(listener, host, prefix, b"")
        raise AssertionError(f"the key of {host}/{prefix} was there twice")
    except OSError as error:
        assert error.errno == errno.ENOENT, error
print("ok", flush=True)
