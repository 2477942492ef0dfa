"""Every option of sockets that the kernel takes and tells: each set in a socket of its own, and compared at the end."""
import errno
import resource
import socket

LEVELS = [1, 0, 41, 6, 17, 136, 255, 58, 270]
VALUES = [1, 2, 0, 100, 1000, 50000]
KINDS = {
    "TCP": (socket.AF_INET, socket.SOCK_STREAM, 0),
    "TCP over IPv6": (socket.AF_INET6, socket.SOCK_STREAM, 0),
    "UDP": (socket.AF_INET, socket.SOCK_DGRAM, 0),
    "UDP over IPv6": (socket.AF_INET6, socket.SOCK_DGRAM, 0),
    "raw": (socket.AF_INET, socket.SOCK_RAW, 99),
    "raw over IPv6": (socket.AF_INET6, socket.SOCK_RAW, 99),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "Unix": (socket.AF_UNIX, socket.SOCK_DGRAM, 0),
}
# SO_ERROR, SO_MEMINFO, SO_COOKIE, SO_NETNS_COOKIE, TCP_INFO, TCP_TIMESTAMP; IP_PKTOPTIONS and the like, tables of packet filters and routes.
NOT_STATE = {(1, 4), (1, 55), (1, 57), (1, 71), (6, 11), (6, 24), (0, 9), (0, 14), (41, 6), (41, 24)}
NOT_STATE |= {(0, option) for option in (41, 64, 65, 66, 67, 81, 82, 83)}
NOT_STATE |= {(41, option) for option in (32, 64, 65, 68, 69)} | {(270, 9)}
# TCP_REPAIR, UDP_ENCAP, which are refused; SO_BINDTOIFINDEX, which takes interfaces that do not exist.
REFUSED = {(6, 19), (17, 100), (136, 100), (1, 62)}
# Whether the program has chosen the sizes of buffers: Unix domain sockets never change them.
UNSEEN = {"Unix": {(1, 72)}}


def look(s, keys):
    seen = {}
    for level, option in keys:
        try:
            seen[level, option] = s.getsockopt(level, option, 512)
        except OSError as error:
            if error.errno not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
                seen[level, option] = error.errno
    return seen


resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held = []
for kind, making in KINDS.items():
    all_keys = {(level, option) for level in LEVELS for option in range(130)}
    fresh = look(socket.socket(*making), all_keys - NOT_STATE - UNSEEN.get(kind, set()))
    for level, option in sorted(fresh.keys() - REFUSED):
        for value in VALUES:
            s = socket.socket(*making)
            try:
                s.setsockopt(level, option, value)
            except OSError:
                continue
            if s.getsockopt(level, option, 512) != fresh[level, option]:
                held.append((f"{kind}: option {option} of level {level} = {value}", s, look(s, fresh)))
                break

print("ready", flush=True)
input()
bad = 0
for what, s, before in held:
    after = look(s, before)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            bad += 1
            print(f"{what}: {key} was {before.get(key)}, is {after.get(key)}", flush=True)
print(f"{len(held)} options", flush=True)
print("ok" if bad == 0 and len(held) > 100 else "not ok", flush=True)
raise SystemExit(bad > 0)
