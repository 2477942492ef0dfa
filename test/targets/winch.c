/*
 * Waits for a key as argv[1] says, and tells how the wait ends: SIGWINCH has a handler. With a
 * second argument that handler has SA_RESTART.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t drawn;

static void draw(int signal) {
    drawn += signal == SIGWINCH;
}

static long wait_read(void) {
    char key;
    return syscall(SYS_read, 0, &key, 1);
}

static long wait_poll(void) {
    struct pollfd keys = {.fd = 0, .events = POLLIN};
    return syscall(SYS_poll, &keys, 1, -1);
}

static long wait_poll_timed(void) {
    struct pollfd keys = {.fd = 0, .events = POLLIN};
    return syscall(SYS_poll, &keys, 1, 1000000);
}

static long wait_select(void) {
    fd_set keys;
    FD_ZERO(&keys);
    FD_SET(0, &keys);
    struct timeval left = {.tv_sec = 1000};
    long result = syscall(SYS_select, 1, &keys, NULL, NULL, &left);
    int error = errno;
    CHECK(left.tv_sec < 1000 && left.tv_sec > 500, "time left: %ld s", (long)left.tv_sec);
    errno = error;
    return result;
}

static long wait_sleep(void) {
    struct timespec left = {0};
    long result = syscall(SYS_nanosleep, (struct timespec[]){{.tv_sec = 1000}}, &left);
    int error = errno;
    CHECK(left.tv_sec < 1000 && left.tv_sec > 500, "time left: %ld s", (long)left.tv_sec);
    errno = error;
    return result;
}

static const struct {
    const char *name;
    long (*wait)(void);
} rows[] = {{"read", wait_read},
            {"poll", wait_poll},
            {"timed-poll", wait_poll_timed},
            {"select", wait_select},
            {"sleep", wait_sleep}};

int main(int argc, char **argv) {
    CHECK(argc > 1, "which?");
    struct sigaction action = {.sa_handler = draw, .sa_flags = argc > 2 ? SA_RESTART : 0};
    NEED(sigaction(SIGWINCH, &action, NULL));
    long (*wait)(void) = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, argv[1]) == 0)
            wait = rows[i].wait;
    CHECK(wait != NULL, "no row");
    puts("ready");
    fflush(stdout);
    long result = wait();
    printf("%s, drawn %d times\n", result < 0 ? strerrorname_np(errno) : "a key", (int)drawn);
}
