"""Holds descriptors from 3 on, one for each argument, and says `ok` when it is told to go on.

Arguments: read:PATH, write:PATH, lock:PATH (fcntl), flock:PATH, folder:PATH, inside:PATH (at last the
working directory), fifo:PATH, tcp:ADDRESS:PORT, udp:ADDRESS:PORT, unix:PATH,
and N=ARGUMENT for a descriptor N instead.
"""
import fcntl
import os
import resource
import socket
import sys

kept = []
folders = []


def bound(kind, address, port):
    made = socket.socket(socket.AF_INET, kind)
    made.bind((address, int(port)))
    kept.append(made)
    return made


def hold(what):
    kind, rest = what.split(":", 1)
    if kind == "read":
        return os.open(rest, os.O_RDONLY)
    if kind == "write":
        return os.open(rest, os.O_RDWR | os.O_CREAT, 0o600)
    if kind in ("lock", "flock"):
        made = os.open(rest, os.O_RDWR)
        (fcntl.lockf if kind == "lock" else fcntl.flock)(made, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return made
    if kind == "folder":
        return os.open(rest, os.O_RDONLY | os.O_DIRECTORY)
    if kind == "inside":
        os.mkdir(rest)
        folders.append(rest)
        return os.open("/dev/null", os.O_RDONLY)
    if kind == "fifo":
        os.mkfifo(rest)
        return os.open(rest, os.O_RDWR)
    if kind == "udp":
        return bound(socket.SOCK_DGRAM, *rest.split(":")).fileno()
    if kind == "tcp":
        made = bound(socket.SOCK_STREAM, *rest.split(":"))
        made.listen()
        return made.fileno()
    made = socket.socket(socket.AF_UNIX)
    made.bind(os.path.abspath(rest))
    made.listen()
    kept.append(made)
    return made.fileno()


for argument in sys.argv[1:]:
    number, equals, what = argument.partition("=")
    if not equals:
        hold(argument)
        continue
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(number) + 1, 1024), most))
    made = hold(what)
    os.dup2(made, int(number))
    os.close(made)
for folder in folders:
    os.chdir(folder)
print("ready", flush=True)
sys.stdin.readline()
print("ok", flush=True)
