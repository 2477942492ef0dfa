/* POSIX record locks: another process must find them where they were. */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static int locked;
static void make_locks(void) {
    locked = (int)NEED(open("locked", O_RDWR | O_CREAT, 0600));
    NEED(fcntl(locked, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_start = 10, .l_len = 5}));
    NEED(fcntl(locked, F_SETLK, &(struct flock){.l_type = F_RDLCK, .l_start = 100}));
}
/* What a child, who inherits no record lock, finds: 0 nothing, 1 a write lock, 2 a read lock. */
static int conflict(off_t start, short type) {
    pid_t child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = type, .l_start = start, .l_len = 1};
        _exit(fcntl(locked, F_GETLK, &lock) != 0 ? 9
              : lock.l_type == F_UNLCK           ? 0
              : lock.l_type == F_WRLCK           ? 1
                                                 : 2);
    }
    int status = -1;
    NEED(waitpid(child, &status, 0));
    return WEXITSTATUS(status);
}
static void check_locks(void) {
    CHECK(conflict(9, F_WRLCK) == 0, "record lock: byte 9 is locked");
    CHECK(conflict(12, F_RDLCK) == 1, "record lock: byte 12 is not write-locked");
    CHECK(conflict(15, F_WRLCK) == 0, "record lock: byte 15 is locked");
    CHECK(conflict(5000, F_WRLCK) == 2, "record lock: the end is not read-locked");
    CHECK(conflict(5000, F_RDLCK) == 0, "record lock: a read lock keeps readers out");
}

int main(void) {
    make_locks();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_locks();
    finish();
}
