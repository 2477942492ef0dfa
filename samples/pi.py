"""Prints the digits of pi, one after the other, for as long as it is left to.

python3 samples/pi.py
proc2elf $(pgrep -f samples/pi.py) -o pi.bin --kill && ./pi.bin
"""

import sys


def digits():
    """The spigot of Gibbons: six big integers are all its state."""
    q, r, t, k, n, l = 1, 0, 1, 1, 3, 3
    while True:
        if 4 * q + r - t < n * t:
            yield n
            q, r, n = 10 * q, 10 * (r - n * t), (10 * (3 * q + r)) // t - 10 * n
        else:
            q, r, t, k, n, l = (
                q * k,
                (2 * q + r) * l,
                t * l,
                k + 1,
                (q * (7 * k + 2) + r * l) // (t * l),
                l + 2,
            )


for digit in digits():
    sys.stdout.write(str(digit))
    sys.stdout.flush()
