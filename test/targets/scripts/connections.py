"""TCP connections in every state, kept over freeze and thaw.

connections.py peer: the other side, which is not frozen; says at which two ports it listens.
connections.py states HOST PORT FULL_PORT [DEVICE]: makes the connections; goes on with each after a line `go`.
connections.py sent ...: the same, but meanwhile all of them but one are on their way in a socket, with no number.
connections.py stream HOST PORT: numbers in both directions at once, for a while after `go`.

With TCP_KEY in the environment all of them are signed with that key (TCP_MD5SIG).
"""

import fcntl
import os
import select
import socket
import struct
import sys
import threading
import time

BLOCK = 4096
SO_PEEK_OFF = 42
TCP_MD5SIG_EXT, TCP_MD5SIG_FLAG_PREFIX = 32, 1
SO_BUF_LOCK = 72
ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING = 1, 2, 4, 5, 8, 9, 11


def numbers(block):
    return struct.pack(f"<{BLOCK}I", *range(block * BLOCK, (block + 1) * BLOCK))


def sign(s, *networks):
    """Signs what goes to these networks, where there is a key, and takes nothing unsigned from them."""
    key = os.environ.get("TCP_KEY", "").encode()
    for host, prefix in networks if key else ():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        address = struct.pack("HH", family, 0) + bytes(4 if family == socket.AF_INET6 else 0) + socket.inet_pton(family, host)
        value = address.ljust(128, b"\0") + struct.pack("BBHi80s", TCP_MD5SIG_FLAG_PREFIX, prefix, len(key), 0, key)
        s.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG_EXT, value)
    return s


def sign_all(s):
    return sign(s, *((("::", 0), ("::ffff:0.0.0.0", 0)) if s.family == socket.AF_INET6 else (("0.0.0.0", 0),)))


def connect_to(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = sign(socket.socket(family), (host, 32 if "." in host else 128))
    s.connect((host, port))
    return s


def read_exactly(c, size):
    data = b""
    while len(data) < size:
        piece = c.recv(size - len(data))
        assert piece, f"the end after {data!r}"
        data += piece
    return data


def read_line(c):
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(c, 1)
    return line[:-1].decode()


def read_all(c):
    data = bytearray()
    while piece := c.recv(1 << 16):
        data += piece
    return bytes(data)


def check_numbers(c, note=lambda size: None):
    """Reads numbers without gap or repeat up to the end; how many bytes there were."""
    rest, block, size = bytearray(), 0, 0
    while piece := c.recv(1 << 16):
        rest += piece
        size += len(piece)
        note(size)
        while len(rest) >= 4 * BLOCK:
            assert rest[: 4 * BLOCK] == numbers(block), f"block {block} differs"
            del rest[: 4 * BLOCK]
            block += 1
    assert numbers(block).startswith(rest), "the last numbers differ"
    return size


class Peer:
    def __init__(self):
        self.resumed = threading.Event()
        self.ended = threading.Event()

    def serve(self, c):
        getattr(self, read_line(c).replace("-", "_"))(c)
        c.close()

    def control(self, c):
        port = int(read_line(c))
        back = connect_to(c.getpeername()[0], port)
        back.sendall(b"accepted\n")
        threading.Thread(target=self.back, args=(back,), daemon=True).start()
        assert read_line(c) == "end yours"
        self.ended.set()
        assert read_line(c) == "resumed"
        again = connect_to(c.getpeername()[0], port)
        again.close()
        self.resumed.set()
        c.sendall(b"yes")

    def back(self, c):
        assert read_all(c) == b"to the client"

    def unread(self, c):
        c.sendall(b"unread input")
        assert read_all(c) == b"answer"

    def close_wait(self, c):
        c.sendall(b"last words")
        c.shutdown(socket.SHUT_WR)
        assert read_all(c) == b"answer after the end"

    def fin_wait_2(self, c):
        assert read_all(c) == b"bye"
        self.resumed.wait()
        c.sendall(b"late words")

    def unsent(self, c):
        self.resumed.wait()
        c.sendall(str(check_numbers(c)).encode())

    def fin_wait_1(self, c):
        self.resumed.wait()
        c.sendall(str(check_numbers(c)).encode())

    def last_ack(self, c):
        c.sendall(b"x" * 1000)
        c.shutdown(socket.SHUT_WR)
        self.resumed.wait()
        self.sizes.append(check_numbers(c))

    sizes = []

    def closing(self, c):
        self.ended.wait()
        c.sendall(b"y" * 1000)
        c.shutdown(socket.SHUT_WR)
        self.resumed.wait()
        self.sizes.append(check_numbers(c))

    def size(self, c):
        """How much has come in the connections that were ended by both sides."""
        while len(self.sizes) < 2:
            time.sleep(0.01)
        c.sendall(str(sum(self.sizes)).encode())

    def stream(self, c):
        over = threading.Event()

        def send():
            block = 0
            while not over.is_set():
                c.sendall(numbers(block))
                block += 1
            c.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        check_numbers(c)
        over.set()
        sender.join()


def listener(backlog):
    l = socket.create_server(("::", 0), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    return sign_all(l)


def run_peer():
    peer = Peer()
    l, full = listener(64), listener(0)
    print(l.getsockname()[1], full.getsockname()[1], flush=True)

    def accept_late():
        peer.resumed.wait()
        for _ in range(2):
            c = full.accept()[0]
            assert read_all(c) == b"hello"
            c.close()

    threading.Thread(target=accept_late, daemon=True).start()
    while True:
        c = l.accept()[0]
        threading.Thread(target=peer.serve, args=(c,), daemon=True).start()


def state(c):
    return c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[0]


def until(c, wanted):
    end = time.monotonic() + 60
    while state(c) != wanted:
        assert time.monotonic() < end, f"state {state(c)} instead of {wanted}"
        time.sleep(0.001)


def facts(c):
    """What a program can see of its connection, and of what both sides agreed on."""
    info = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    options = [
        (socket.SOL_SOCKET, socket.SO_REUSEADDR),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        (socket.SOL_SOCKET, SO_BUF_LOCK),
    ]
    if c.family == socket.AF_INET6:
        options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    if c.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK):  # else the kernel may change it at any time
        options.append((socket.SOL_SOCKET, socket.SO_SNDBUF))
    peer = None if state(c) == SYN_SENT else c.getpeername()
    agreed = () if state(c) == SYN_SENT else (info[5], info[6])
    # More than this can be set over IPv4 alone, and only the loopback interface takes it.
    segment = min(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), 32755)
    # Signed ones have no time stamps. That is known only after connect(2) has left room for them, and stays so.
    if "TCP_KEY" in os.environ:
        segment = None
    poll = select.poll()
    poll.register(c, select.POLLRDHUP)
    return (state(c), [events for _, events in poll.poll(0)], c.getsockname(), peer, agreed, [segment, *(c.getsockopt(*option) for option in options)])


def fill(c):
    """Sends numbers until no more fits; how many bytes."""
    c.setblocking(False)
    size, block = 0, 0
    try:
        while True:
            data = numbers(block)
            sent = c.send(data)
            size += sent
            while sent < len(data):
                data = data[sent:]
                sent = c.send(data)
                size += sent
            block += 1
    except BlockingIOError:
        c.setblocking(True)
        return size


def rest_of(size):
    """What completes the block that is under way, and one more block."""
    block, within = divmod(size, 4 * BLOCK)
    return numbers(block)[within:] + numbers(block + 1)


def send_away(everything):
    """Sends connections, and closes their numbers; gives what brings them back."""
    numbers = [c.fileno() for c in everything]
    one, other = socket.socketpair()
    inner = socket.socketpair(type=socket.SOCK_DGRAM)
    half = len(numbers) // 2
    socket.send_fds(inner[0], [b"nested"], numbers[:half])
    socket.send_fds(one, [b"connections"], [*numbers[half:], inner[1].fileno()])
    for fd in numbers:
        os.close(fd)
    inner[1].close()

    def bring_back(senders=(one, inner[0])):  # stay open
        _, found, _, _ = socket.recv_fds(other, 11, 100)
        with socket.socket(fileno=found.pop()) as carrier:
            found = socket.recv_fds(carrier, 6, 100)[1] + found
        # Their numbers are free again, and some may have been given to others of them.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500) for fd in found]
        for fd in found:
            os.close(fd)
        for fd, number in zip(high, numbers, strict=True):
            os.dup2(fd, number, inheritable=False)
            os.close(fd)

    return bring_back


def run_states(host, port, full_port, device="lo", sent=False):
    def connect(kind):
        c = connect_to(host, port)
        c.sendall(f"{kind}\n".encode())
        return c

    of = {kind: connect(kind) for kind in ("control", "unread", "close-wait", "fin-wait-2", "unsent", "fin-wait-1", "last-ack", "closing")}
    of["unread"].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    of["unread"].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    of["unread"].shutdown(socket.SHUT_RD)
    of["close-wait"].setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peeks = True
    try:
        of["unread"].setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 7)
    except OSError:  # before Linux 6.9
        peeks = False
    of["close-wait"].setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 900000)
    of["fin-wait-1"].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100000)
    of["unsent"].setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    # Without SO_REUSEADDR: its port is its own, but for the connections that it has accepted.
    l = socket.socket(of["control"].family)
    l.bind((of["control"].getsockname()[0] if l.family == socket.AF_INET else "::", 0))
    sign_all(l).listen()
    of["control"].sendall(f"{l.getsockname()[1]}\n".encode())
    accepted = l.accept()[0]
    assert read_line(accepted) == "accepted"

    of["fin-wait-2"].sendall(b"bye")
    of["fin-wait-2"].shutdown(socket.SHUT_WR)
    sizes = {kind: fill(of[kind]) for kind in ("unsent", "fin-wait-1", "last-ack", "closing")}
    until(of["last-ack"], CLOSE_WAIT)
    for kind in ("fin-wait-1", "last-ack", "closing"):
        of[kind].shutdown(socket.SHUT_WR)
    of["control"].sendall(b"end yours\n")
    waiting, syn = connect_to(host, full_port), sign_all(socket.socket(of["control"].family))
    syn.setblocking(False)
    syn.connect_ex((host, full_port))
    for c, wanted in (
        (of["unread"], ESTABLISHED),
        (of["close-wait"], CLOSE_WAIT),
        (of["fin-wait-2"], FIN_WAIT2),
        (of["unsent"], ESTABLISHED),
        (of["fin-wait-1"], FIN_WAIT1),
        (of["last-ack"], LAST_ACK),
        (of["closing"], CLOSING),
        (syn, SYN_SENT),
    ):
        until(c, wanted)
    everything = [*of.values(), accepted, waiting, syn]
    before = [facts(c) for c in everything]
    # One keeps its number, and is on its way as well.
    twin = accepted.dup()
    bring_back = send_away(everything) if sent else lambda: None
    print("ready", flush=True)
    assert sys.stdin.readline() == "go\n"
    bring_back()
    twin.close()
    after = [facts(c) for c in everything]
    # The peer may have answered by now what was asked before.
    for i, (was, now) in enumerate(zip(before, after)):
        if was[0] == SYN_SENT and now[0] == ESTABLISHED:
            was, now = was[2], now[2]
        assert was == now, f"connection {i}: {was} is {now}"

    of["control"].sendall(b"resumed\n")
    l.accept()[0].close()
    assert read_exactly(of["control"], 3) == b"yes"
    accepted.sendall(b"to the client")
    accepted.close()
    assert not peeks or of["unread"].recv(5, socket.MSG_PEEK) == b"input"
    assert read_exactly(of["unread"], 12) == b"unread input"
    of["unread"].sendall(b"answer")
    of["unread"].shutdown(socket.SHUT_WR)
    assert read_all(of["unread"]) == b""
    assert read_all(of["close-wait"]) == b"last words"
    of["close-wait"].sendall(b"answer after the end")
    of["close-wait"].close()
    assert read_all(of["fin-wait-2"]) == b"late words"
    more = rest_of(sizes["unsent"])
    of["unsent"].sendall(more)
    of["unsent"].shutdown(socket.SHUT_WR)
    assert int(read_all(of["unsent"])) == sizes["unsent"] + len(more)
    assert int(read_all(of["fin-wait-1"])) == sizes["fin-wait-1"]
    assert read_all(of["last-ack"]) == b"x" * 1000
    assert read_all(of["closing"]) == b"y" * 1000
    size = connect("size")
    assert int(read_all(size)) == sizes["last-ack"] + sizes["closing"]
    syn.setblocking(True)
    until(syn, ESTABLISHED)
    for c in (waiting, syn):
        c.sendall(b"hello")
        c.shutdown(socket.SHUT_WR)
        assert read_all(c) == b""
    print("ok", flush=True)


def run_stream(host, port):
    c = socket.create_connection((host, port))
    c.sendall(b"stream\n")
    over, moving = threading.Event(), threading.Event()

    def send():
        block = 0
        while not over.is_set():
            c.sendall(numbers(block))
            block += 1
        c.shutdown(socket.SHUT_WR)

    whole = False
    received = 0

    def note(size):
        nonlocal received
        received = size
        if size > 1 << 20:
            moving.set()

    def receive():
        nonlocal whole
        check_numbers(c, note)
        whole = True

    threads = [threading.Thread(target=send), threading.Thread(target=receive)]
    for thread in threads:
        thread.start()
    moving.wait()
    print("ready", flush=True)
    assert sys.stdin.readline() == "go\n"
    start = received
    while received < start + (4 << 20):
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    assert whole, "what came was not what was sent"
    print("ok", flush=True)


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    if mode == "peer":
        run_peer()
    elif mode in ("states", "sent"):
        run_states(arguments[0], int(arguments[1]), int(arguments[2]), *arguments[3:], sent=mode == "sent")
    else:
        run_stream(arguments[0], int(arguments[1]))
