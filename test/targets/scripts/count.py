"""Counts as count.c does, in CPython."""

import select
import sys
import time

number, left, last = 0, 20, time.monotonic()
while left > 0:
    until = time.monotonic() + 0.01
    while (now := time.monotonic()) < until:
        assert now >= last, "the clock went back"
        last = now
    number += 1
    print(number, flush=True)
    if left < 20 or select.select([sys.stdin], [], [], 0)[0]:
        left -= 1
print("ok", flush=True)
