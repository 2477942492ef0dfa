"""Serves a console on a pseudoterminal of its own, both sides in this process. Commands on standard input: `type TEXT`
types a line, `begin TEXT` types without ending the line, `show` prints what the console has written since, up to
its prompt. The console counts the lines that it has got.
"""

import os
import sys
import threading

master, slave = os.openpty()
PROMPT = b"> "
answered = threading.Semaphore(0)


def console():
    count = 0
    os.write(slave, PROMPT)
    with os.fdopen(slave, "rb", closefd=False) as lines:
        for line in lines:
            count += 1
            os.write(slave, b"%d: %s" % (count, line[::-1].strip() + b"\n" + PROMPT))
            answered.release()


threading.Thread(target=console, daemon=True).start()


def show():
    shown = b""
    while not shown.endswith(b"\n" + PROMPT):
        shown += os.read(master, 4096)
    print(repr(shown.decode()), flush=True)


os.read(master, len(PROMPT))
print("ready", flush=True)
for command in sys.stdin:
    verb, _, text = command.rstrip("\n").partition(" ")
    if verb == "show":
        show()
    else:
        os.write(master, text.encode() + (b"\n" if verb == "type" else b""))
        if verb == "type":
            answered.acquire()
        print("typed", flush=True)
