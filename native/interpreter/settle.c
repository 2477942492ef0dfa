/*
 * Waits for a thread to be blocked again in the call that it was frozen in. Were the leader to go
 * on before, it could change what the other waits for in that instant: the other would not be woken
 * but find, say, its futex changed. A call that has something to return at once does not block, so
 * the wait is short.
 */
#include "interpreter.h"

enum { LONGEST = 10000000 /* ns */ };

/* `/proc/thread-self/../TID/stat`: the state is the letter behind the last parenthesis. */
static char state(int64_t fd) {
    char text[64]; /* "TID (COMM) S": COMM has 15 bytes at most */
    int64_t got = CALL4(SYS_pread64, fd, text, sizeof text, 0);
    for (int64_t i = got - 3; i > 0; i--)
        if (text[i] == ')')
            return text[i + 2];
    return 0;
}

void settle(int64_t tid) {
    struct line path = {.used = 0};
    line_text(&path, "/proc/self/task/");
    line_number(&path, tid);
    line_text(&path, "/stat");
    path.text[path.used] = 0;
    int64_t fd = CALL4(SYS_openat, AT_FDCWD, path.text, O_RDONLY, 0);
    if (failed(fd))
        return;
    for (int64_t end = now(CLOCK_MONOTONIC) + LONGEST;
         state(fd) == 'R' && now(CLOCK_MONOTONIC) < end;)
        CALL0(SYS_sched_yield);
    CALL1(SYS_close, fd);
}
