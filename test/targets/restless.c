/*
 * Never the same for long. argv[1]: `threads` starts and joins them, `forks` starts and reaps
 * children, `execs` becomes itself anew, `ends` does so soon. The first two say ok after `go`.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool line_waits(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

static void *nothing(void *argument) {
    return argument;
}

static void with_threads(void) {
    pthread_t threads[5];
    for (intptr_t i = 0; i < 5; i++)
        NEED(-pthread_create(&threads[i], NULL, nothing, (void *)i));
    for (intptr_t i = 0; i < 5; i++) {
        void *result;
        NEED(-pthread_join(threads[i], &result));
        CHECK(result == (void *)i, "a thread's result");
    }
}

static void with_children(void) {
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(17);
    NEED(child);
    pid_t reaped = waitpid(child, &status, 0);
    CHECK(reaped == child && WIFEXITED(status) && WEXITSTATUS(status) == 17,
          "waitpid gives %d, status %x", reaped, status);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    bool again = argc > 2;
    if (!again)
        ready();
    if (strcmp(mode, "execs") == 0) {
        usleep(1000);
        execl("/proc/self/exe", argv[0], mode, "again", NULL);
    }
    if (strcmp(mode, "ends") == 0) {
        usleep(250000);
        return 0;
    }
    while (!line_waits()) {
        if (strcmp(mode, "threads") == 0)
            with_threads();
        else
            with_children();
        /* Leaves process ids to others. */
        usleep(1000);
    }
    await_go();
    finish();
}
