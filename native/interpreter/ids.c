/*
 * The number of a process or thread becomes free a moment after its end can be seen: of one that
 * was ended to be frozen, it may be taken still when its image starts. Without a process a number
 * is also kept by a group or session of that name, which may last.
 */
#include "interpreter.h"

enum { LONGEST = 1000000000 /* ns */ };

static int is_nobody(int32_t id) {
    return CALL2(SYS_kill, id, 0) == -ESRCH && CALL2(SYS_kill, -id, 0) == -ESRCH;
}

/* Whether an attempt to take `id` that gave `result` is worth another one. */
int is_given_back(int64_t result, int32_t id, int64_t since) {
    if (result != -EEXIST || !is_nobody(id) || now(CLOCK_MONOTONIC) > since + LONGEST)
        return 0;
    int64_t pause[2] = {0, 1000000};
    CALL2(SYS_nanosleep, pause, 0);
    return 1;
}
