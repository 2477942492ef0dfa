/* Sleeps and sleeps, in one thread; until SIGTERM no sleep may end early or with an error. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static volatile sig_atomic_t ending;

static void on_term(int signal) {
    (void)signal;
    ending = 1;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int main(void) {
    const struct timespec pause = {.tv_nsec = 30000000};
    signal(SIGTERM, on_term);
    puts("ready");
    fflush(stdout);
    while (!ending) {
        int64_t start = now();
        volatile double kept = 1.5;
        int result = nanosleep(&pause, NULL);
        if (!ending && (result != 0 || now() - start < pause.tv_nsec || kept != 1.5)) {
            printf("FAIL nanosleep gave %d, errno %d, after %ld ns\n", result, errno,
                   (long)(now() - start));
            return 1;
        }
    }
    puts("ok");
    return 0;
}
