"""Runs the operations of a plan, as the interpreter would, and stops itself.

Usage: run-plan.py PLAN. The plan is JSON: the thaw data segment, the number at which the image
is expected and its path, and the operations, with system calls by number.
"""
import ctypes
import json
import mmap
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p

with open(sys.argv[1]) as file:
    plan = json.load(file)

base = int(plan["base"])
data = bytes.fromhex(plan["data"])
size = len(data) + 4096
MAP_FIXED_NOREPLACE = 0x100000
got = libc.mmap(
    ctypes.c_void_p(base), ctypes.c_size_t(size), 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0
)
assert got == base, hex(got or 0)
ctypes.memmove(base, data, len(data))

image = os.open(plan["image"], os.O_RDONLY)
os.dup2(image, plan["imageFd"], inheritable=False)
os.close(image)


def load(address, width):
    return int.from_bytes(ctypes.string_at(address, width), "little")


def operand(value):
    if isinstance(value, dict):
        return load(int(value["cell"]), 8)
    return int(value)


def execute(op):
    if op["op"] == "syscall":
        args = [ctypes.c_long(ctypes.c_int64(operand(arg) & (1 << 64) - 1).value) for arg in op["args"]]
        result = libc.syscall(ctypes.c_long(op["number"]), *args)
        return -ctypes.get_errno() if result == -1 else result
    if op["op"] == "test":
        return load(operand(op["address"]), op["width"]) & int(op["mask"])
    if op["op"] == "store":
        value = operand(op["value"]) & (1 << 8 * op["width"]) - 1
        ctypes.memmove(operand(op["address"]), value.to_bytes(op["width"], "little"), op["width"])
        return 0
    if op["op"] == "compare":
        left, right = (ctypes.string_at(operand(op[side]), op["size"]) for side in ("left", "right"))
        return int(left != right)
    raise ValueError(op)


def fail(op, result):
    why = os.strerror(-result) if op["op"] == "syscall" and result < 0 else op.get("reason", result)
    os.write(2, f"{op.get('label', op.get('text'))}: {why}\n".encode())
    os._exit(125)


ops = plan["ops"]
marks = {op["name"]: i for i, op in enumerate(ops) if op["op"] == "mark"}
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
index = 0
while index < len(ops):
    op = ops[index]
    index += 1
    if op["op"] == "mark" or op.get("when", 0) & ~plan["flags"] or op.get("unless", 0) & plan["flags"]:
        continue
    if op["op"] == "jump":
        index = marks[op["to"]]
        continue
    result = execute(op)
    if "result" in op:
        ctypes.memmove(int(op["result"]["cell"]), (result & (1 << 64) - 1).to_bytes(8, "little"), 8)
    check = op.get("check", {"kind": "equal", "expected": 0} if op["op"] == "compare" else {"kind": "ok"})
    if check["kind"] == "ok" and op["op"] == "syscall" and -4096 < result < 0:
        # With a place to go on at, and without names, any error will do.
        if -result not in check.get("tolerated", [-result] if "jump" in check else []):
            fail(op, result)
        index = marks[check["jump"]] if "jump" in check else index
    missed = {
        "equal": lambda: result != int(check["expected"]),
        "atleast": lambda: result < int(check["expected"]),
    }.get(check["kind"], lambda: False)()
    if missed and "jump" not in check:
        fail(op, result)
    if missed:
        index = marks[check["jump"]]

os.close(plan["imageFd"])
os.kill(os.getpid(), signal.SIGSTOP)
