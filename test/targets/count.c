/*
 * Counts, a number each 10 ms by the clock, which it reads through the vDSO without pause. When a
 * line waits on its standard input it counts on by twenty and ends. It has nothing to compare
 * itself with: on another machine there is no file of this one.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { STEP_NS = 10000000, LAST = 20 };

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    int64_t last = now();
    char line[32];
    for (int number = 1, left = LAST; left > 0; number++) {
        for (int64_t until = now() + STEP_NS; now() < until;) {
            CHECK(now() >= last, "the clock went back");
            last = now();
        }
        NEED(write(1, line, (size_t)snprintf(line, sizeof line, "%d\n", number)));
        if (left < LAST || poll(&input, 1, 0) > 0)
            left--;
    }
    finish();
}
