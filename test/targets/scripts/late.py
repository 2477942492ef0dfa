"""Has an event of inotify unread, and reads it when it finds that it was held; then goes on when it is told to."""
import ctypes
import os
import sys
import time

IN_CREATE = 0x100
# Longer than between two looks at the clock, shorter than the process is held by any freeze.
GAP = 0.005

libc = ctypes.CDLL(None, use_errno=True)
watcher = libc.inotify_init1(0)
assert watcher >= 0 and libc.inotify_add_watch(watcher, b".", IN_CREATE) > 0
open("event", "w").close()
print("ready", flush=True)
last = time.monotonic()
while True:
    now = time.monotonic()
    if now - last > GAP:
        break
    last = now
event = os.read(watcher, 4096)
line = sys.stdin.readline()
print("ok" if event[16:].rstrip(b"\0") == b"event" and line == "go\n" else f"wrong: {event} {line}")
