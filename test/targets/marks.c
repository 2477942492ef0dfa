/* Marks of fanotify(7): afterwards they tell what they told. Works in the current directory. */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

static int named, plain;
static const char folder[] = "tree";
static char before[2][4096];

static void mark(int fd, unsigned flags, uint64_t mask, const char *path) {
    NEED(fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path));
}

/* The lines of fdinfo about its flags and marks. */
static void marks(int fd, char *out, size_t capacity) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    slurp(path, text, sizeof text);
    const char *from = strstr(text, "fanotify ");
    snprintf(out, capacity, "%s", from == NULL ? "" : from);
}

static void make_marks(void) {
    NEED(mkdir("tree", 0700));
    close((int)NEED(open("tree/watched", O_RDWR | O_CREAT, 0600)));
    close((int)NEED(open("tree/ignored", O_RDWR | O_CREAT, 0600)));
    named = fanotify_init(FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME, 0);
    if (named < 0)
        leave_out("fanotify is not permitted");
    mark(named, 0, FAN_CREATE | FAN_DELETE | FAN_ONDIR | FAN_EVENT_ON_CHILD, folder);
    plain = fanotify_init(FAN_NONBLOCK | FAN_UNLIMITED_QUEUE, O_RDONLY | O_LARGEFILE);
    if (plain < 0)
        leave_out("fanotify without limits is not permitted");
    mark(plain, 0, FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD, folder);
    mark(plain, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE_WRITE,
         "tree/ignored");
    mark(plain, FAN_MARK_MOUNT, FAN_MODIFY, "/dev/shm");
    mark(plain, FAN_MARK_FILESYSTEM, FAN_ACCESS, "/dev/shm");
}

/* The next event, for at most a minute. */
static ssize_t next(int fd, void *buffer, size_t capacity) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    CHECK(poll(&one, 1, 60000) == 1, "no event comes");
    return read(fd, buffer, capacity);
}
static void is_empty(const char *what, int fd) {
    char buffer[4096];
    CHECK(read(fd, buffer, sizeof buffer) == -1 && errno == EAGAIN, "%s: there are events", what);
}

static void check_marks(void) {
    char now[4096];
    _Alignas(8) char buffer[4096];
    int descriptors[] = {named, plain};
    for (int i = 0; i < 2; i++) {
        marks(descriptors[i], now, sizeof now);
        CHECK(strcmp(now, before[i]) == 0, "marks were %s, are %s", before[i], now);
    }
    CHECK(fcntl(named, F_GETFD) == FD_CLOEXEC && fcntl(plain, F_GETFD) == 0, "FD_CLOEXEC");
    CHECK(fcntl(named, F_GETFL) & O_NONBLOCK, "O_NONBLOCK");
    if (failures() > 0)
        return; /* what is awaited below would not come */
    is_empty("names", named);
    NEED(mkdir("tree/new", 0700));
    struct fanotify_event_metadata *event = (void *)buffer;
    ssize_t got = next(named, buffer, sizeof buffer);
    CHECK(got > 0 && event->mask == (FAN_CREATE | FAN_ONDIR) &&
              memmem(buffer, (size_t)got, "new", 4) != NULL,
          "names: event %llx", (unsigned long long)event->mask);
    NEED(rmdir("tree/new"));

    while (read(plain, buffer, sizeof buffer) > 0)
        ;
    close((int)NEED(open("tree/ignored", O_WRONLY)));
    int fd = (int)NEED(open("tree/watched", O_WRONLY));
    struct stat written, told;
    NEED(fstat(fd, &written));
    close(fd);
    next(plain, buffer, sizeof buffer);
    CHECK(event->mask == FAN_CLOSE_WRITE && fstat(event->fd, &told) == 0 &&
              told.st_ino == written.st_ino,
          "files: event %llx", (unsigned long long)event->mask);
    CHECK((fcntl(event->fd, F_GETFL) & O_ACCMODE) == O_RDONLY, "files: access mode");
    close(event->fd);
}

int main(void) {
    make_marks();
    marks(named, before[0], sizeof before[0]);
    marks(plain, before[1], sizeof before[1]);
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_marks();
    finish();
}
