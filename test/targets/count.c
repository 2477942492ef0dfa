/*
 * Counts by the clock (busily, through the vDSO): a number each argv[1] ms, up to argv[2]. A gap or
 * a repeat shows in its output; that the clock never goes back, it checks itself.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(int argc, char **argv) {
    int64_t step = (argc > 1 ? atoll(argv[1]) : 20) * 1000000, last = now();
    int limit = argc > 2 ? atoi(argv[2]) : 100;
    char line[32];
    for (int number = 1; number <= limit; number++) {
        for (int64_t until = now() + step; now() < until;) {
            CHECK(now() >= last, "the clock went back");
            last = now();
        }
        int length = snprintf(line, sizeof line, "%d\n", number);
        NEED(write(1, line, (size_t)length));
    }
    finish();
}
