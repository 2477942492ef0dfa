"""Runs a program in a terminal of its own, which the test speaks to through pipes.

The first line of standard output is `pid N`. What comes on standard input is typed, what the terminal shows
goes to standard output. Ends as the program ends.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    # Here, where nobody can take the SIGWINCH for one of the program's.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
os.write(1, f"pid {pid}\n".encode())

sources = [terminal, 0]
while True:
    try:
        readable = select.select(sources, [], [])[0]
        if terminal in readable:
            shown = os.read(terminal, 65536)
            if not shown:
                break
            os.write(1, shown)
        if 0 in readable:
            typed = os.read(0, 65536)
            if typed:
                os.write(terminal, typed)
            else:
                sources.remove(0)
    except OSError:
        # The last process has closed the terminal.
        break
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
