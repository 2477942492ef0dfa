"""Events of inotify that wait: one of two watchers of the same is read before, the other when told to go on."""
import ctypes
import os
import select
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
ALL = 0xFFF


def watch(fd, path):
    number = libc.inotify_add_watch(fd, path.encode(), ALL)
    assert number > 0, os.strerror(ctypes.get_errno())
    return number


def touch(path, text="x"):
    with open(path, "a") as file:
        file.write(text)


def events(fd):
    """Watch, mask and name; the number that the two of a rename have in common, counted from 1 on."""
    try:
        data = os.read(fd, 1 << 20)
    except BlockingIOError:
        return []
    cookies = [0]
    found = []
    while data:
        wd, mask, cookie, length = struct.unpack_from("iIII", data)
        if cookie not in cookies:
            cookies.append(cookie)
        found.append((wd, mask, cookies.index(cookie), data[16 : 16 + length]))
        data = data[16 + length :]
    return found


os.makedirs("tree/deep")
os.mkdir("quiet")
watchers = [libc.inotify_init1(os.O_NONBLOCK) for _ in range(2)]
for path in ("tree", "tree/deep"):
    numbers = {watch(fd, path) for fd in watchers}
    assert len(numbers) == 1
for count in range(100):
    touch(f"tree/file {count}")
    os.rename(f"tree/file {count}", f"tree/deep/{count}")
os.rename("tree/deep/7", "tree/deep/seven")
for count in range(20):
    libc.inotify_rm_watch(watchers[0], watch(watchers[0], "."))
    libc.inotify_rm_watch(watchers[1], watch(watchers[1], "."))
read, unread = watchers
told = events(read)
assert len(told) > 500
ready = select.epoll()
ready.register(unread, select.EPOLLIN | select.EPOLLET)
following = watch(read, "quiet") + 1
assert watch(unread, "quiet") == following - 1
print("ready", flush=True)
line = sys.stdin.readline()
wrong = []
if line != "go\n":
    wrong.append(line)
if ready.poll(0) != [(unread, select.EPOLLIN)]:
    wrong.append("not ready")
again = events(unread)
wrong += [f"{one} not {other}" for one, other in zip(again, told) if one != other]
if len(again) != len(told):
    wrong.append(f"{len(again)} events, not {len(told)}")
wrong += [f"one more: {event}" for event in events(unread)]
touch("tree/new", "")
if events(unread) != events(read):
    wrong.append("new events differ")
if watch(unread, "/") != following:
    wrong.append("the next watch has another number")
print("ok" if not wrong else "\n".join(wrong))
