/* Locks on files: others must find them where they were, with the owner that they had. */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <fcntl.h>
#include <sys/file.h>
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

/* Of two openings of one file, each with locks of its own; a duplicate of one; and a deleted file.
 */
static int first, second, twin, whole, shared, deleted;
static void make_owned(void) {
    struct flock lock = {.l_type = F_WRLCK, .l_start = 200, .l_len = 100};
    first = (int)NEED(open("owned", O_RDWR | O_CREAT, 0600));
    second = (int)NEED(open("owned", O_RDWR));
    twin = (int)NEED(dup(first));
    NEED(fcntl(first, F_OFD_SETLK, &lock));
    lock = (struct flock){.l_type = F_RDLCK, .l_start = 500};
    NEED(fcntl(first, F_OFD_SETLK, &lock));
    NEED(fcntl(second, F_OFD_SETLK, &lock));
    whole = (int)NEED(open("whole", O_RDONLY | O_CREAT, 0600));
    NEED(flock(whole, LOCK_EX));
    shared = (int)NEED(open("shared", O_RDONLY | O_CREAT, 0600));
    NEED(flock(shared, LOCK_SH));
    deleted = (int)NEED(open("deleted", O_RDWR | O_CREAT, 0600));
    NEED(unlink("deleted"));
    NEED(fcntl(deleted, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_start = 7, .l_len = 1}));
    NEED(flock(deleted, LOCK_EX));
}
static short found(int fd, short type, off_t start) {
    struct flock lock = {.l_type = type, .l_start = start, .l_len = 1};
    NEED(fcntl(fd, F_OFD_GETLK, &lock));
    return lock.l_type;
}
/* What another process that opens the file gets from flock(2). */
static int flock_by_other(const char *name, int operation) {
    pid_t child = fork();
    if (child == 0) {
        int fd = open(name, O_RDONLY);
        _exit(fd < 0 ? 9 : flock(fd, operation | LOCK_NB) == 0 ? 0 : 1);
    }
    int status = -1;
    NEED(waitpid(child, &status, 0));
    return WEXITSTATUS(status);
}
static pid_t holder(int fd, off_t start) {
    int ends[2];
    struct flock lock = {.l_type = F_WRLCK, .l_start = start, .l_len = 1};
    NEED(pipe(ends));
    if (fork() == 0) {
        fcntl(fd, F_GETLK, &lock);
        _exit(write(ends[1], &lock, sizeof lock) != sizeof lock);
    }
    NEED(read(ends[0], &lock, sizeof lock) - (ssize_t)sizeof lock);
    NEED(wait(NULL));
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}
static void check_owned(void) {
    CHECK(found(second, F_RDLCK, 250) == F_WRLCK, "OFD lock: the other opening can have it");
    CHECK(found(first, F_WRLCK, 250) == F_UNLCK, "OFD lock: its own opening cannot have it");
    CHECK(found(twin, F_WRLCK, 250) == F_UNLCK, "OFD lock: a duplicate cannot have it");
    CHECK(found(second, F_WRLCK, 300) == F_UNLCK, "OFD lock: byte 300 is locked");
    CHECK(found(second, F_WRLCK, 600) == F_RDLCK, "OFD lock: not read-locked by the first");
    CHECK(found(first, F_WRLCK, 600) == F_RDLCK, "OFD lock: not read-locked by the second");
    CHECK(flock_by_other("whole", LOCK_SH) == 1, "flock: another process can have it");
    CHECK(flock_by_other("shared", LOCK_SH) == 0, "flock: another process cannot share it");
    CHECK(flock_by_other("shared", LOCK_EX) == 1, "flock: another process can have it alone");
    CHECK(flock(whole, LOCK_EX | LOCK_NB) == 0, "flock: not through its own descriptor");
    CHECK(flock(shared, LOCK_EX | LOCK_NB) == 0, "flock: somebody else shares it");
    CHECK(holder(locked, 12) == getpid(), "record lock: its holder is %d", holder(locked, 12));
    CHECK(holder(deleted, 7) == getpid(), "deleted: its lock is held by %d", holder(deleted, 7));
    CHECK(holder(deleted, 8) == 0, "deleted: byte 8 is locked");
    CHECK(holder(first, 250) == -1, "OFD lock: its holder is %d", holder(first, 250));
    NEED(close(twin));
    CHECK(found(second, F_RDLCK, 250) == F_WRLCK, "OFD lock: gone with the duplicate");
    NEED(close(first));
    CHECK(found(second, F_RDLCK, 250) == F_UNLCK, "OFD lock: stays behind its opening");
}

int main(void) {
    make_locks();
    make_owned();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_locks();
    check_owned();
    finish();
}
