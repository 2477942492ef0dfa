"""CPython at work: `compute`, `sleep` or `threads`. Says ready, and ok some time after a line `go`."""

import hashlib
import queue
import select
import sys
import threading
import time


def say(text):
    print(text, flush=True)


def gone(timeout=0):
    return bool(select.select([sys.stdin], [], [], timeout)[0])


def compute():
    """A chain of hashes, checked from the start when it is over."""
    chain, length, announced = b"", 0, False
    cache = {}
    while not announced or not gone() or length < 20000:
        chain = hashlib.sha256(chain + str(length).encode()).digest()
        cache[length % 1000] = [chain, {"length": length}]
        length += 1
        if length == 5000:
            say("ready")
            announced = True
    again = b""
    for number in range(length):
        again = hashlib.sha256(again + str(number).encode()).digest()
    assert again == chain, "the chain has a gap or a repeat"
    assert all(value[1]["length"] % 1000 == key for key, value in cache.items())


def sleep():
    """A sleep in flight; it must last as long as was asked for."""
    slept = []

    def nap():
        before = time.monotonic()
        time.sleep(2)
        slept.append(time.monotonic() - before)

    thread = threading.Thread(target=nap)
    thread.start()
    time.sleep(0.2)
    say("ready")
    sys.stdin.readline()
    thread.join()
    assert slept[0] >= 2, f"slept {slept[0]} s"


def threads():
    """Workers that take numbers from one queue and put squares into another."""
    todo, done = queue.Queue(), queue.Queue()

    def work():
        while (number := todo.get()) is not None:
            done.put((number, number * number))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    seen, sent, announced = set(), 0, False
    while not announced or not gone() or sent < 5000:
        todo.put(sent)
        sent += 1
        if sent == 1000:
            say("ready")
            announced = True
        if sent % 100 == 0:
            while len(seen) < sent:
                number, square = done.get()
                assert square == number * number and number not in seen
                seen.add(number)
    for _ in workers:
        todo.put(None)
    for worker in workers:
        worker.join()
    while not done.empty():
        seen.add(done.get()[0])
    assert seen == set(range(sent)), "numbers got lost"


{"compute": compute, "sleep": sleep, "threads": threads}[sys.argv[1]]()
say("ok")
