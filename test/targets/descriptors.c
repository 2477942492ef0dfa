/*
 * Descriptors of every kind that can be carried. Works in the current directory, which is the
 * test's own. What `dup` shares must stay shared: offsets are moved through one descriptor and
 * read through the other.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HIGH = 600, PIPE_SIZE = 1 << 18 };

static void holds(const char *what, int fd, const char *text) {
    char buffer[256] = {0};
    ssize_t got = read(fd, buffer, strlen(text));
    CHECK(got == (ssize_t)strlen(text) && strcmp(buffer, text) == 0,
          "%s: read gives %zd \"%s\", not \"%s\"", what, got, got < 0 ? strerror(errno) : buffer,
          text);
}
static void is_empty(const char *what, int fd) {
    char bytes[8];
    ssize_t got = read(fd, bytes, sizeof bytes);
    CHECK(got == -1 && errno == EAGAIN, "%s: not empty, read gives %zd", what, got);
}
static void stands_at(const char *what, int fd, off_t wanted) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    CHECK(offset == wanted, "%s: offset is %ld, not %ld", what, (long)offset, (long)wanted);
}

static int file, twin, alone, appended, unlinked, directory, high;
static char next_names[16384];
static size_t names(int fd, char *out, size_t capacity) {
    char buffer[4096];
    size_t length = 0;
    ssize_t got;
    while ((got = getdents64(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t at = 0; at < got;) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            length += (size_t)snprintf(out + length, capacity - length, "%s\n", entry->d_name);
            at += entry->d_reclen;
        }
    return length;
}
static void make_files(void) {
    file = (int)NEED(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    NEED(write(file, "0123456789abcdef", 16));
    NEED(lseek(file, 3, SEEK_SET));
    twin = (int)NEED(dup(file));
    alone = (int)NEED(open("file", O_RDWR | O_NONBLOCK));
    NEED(lseek(alone, 100, SEEK_SET) - 100);
    NEED(ftruncate(file, 200));
    appended = (int)NEED(open("log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
    NEED(write(appended, "one\n", 4));
    unlinked = (int)NEED(open("unlinked", O_RDWR | O_CREAT, 0600));
    NEED(write(unlinked, "was deleted", 11));
    NEED(lseek(unlinked, 4, SEEK_SET));
    NEED(unlink("unlinked"));
    mkdir("many", 0700);
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/a-long-name-of-a-file-%03d", i);
        close((int)NEED(open(name, O_CREAT | O_WRONLY, 0600)));
    }
    directory = (int)NEED(open("many", O_RDONLY | O_DIRECTORY));
    char buffer[1024];
    NEED(getdents64(directory, buffer, sizeof buffer));
    off_t middle = NEED(lseek(directory, 0, SEEK_CUR));
    names(directory, next_names, sizeof next_names);
    NEED(lseek(directory, middle, SEEK_SET) < 0 ? -1 : 0);
    high = (int)NEED(fcntl(file, F_DUPFD, HIGH));
}
static void check_files(void) {
    struct stat status;
    static char after[sizeof next_names];
    stands_at("file", file, 3);
    holds("dup of a file", twin, "345");
    stands_at("file, after a read through its dup", file, 6);
    stands_at("high dup of a file", high, 6);
    stands_at("file opened again", alone, 100);
    CHECK(fcntl(alone, F_GETFL) & O_NONBLOCK, "O_NONBLOCK of a file");
    CHECK(fcntl(file, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == 0, "FD_CLOEXEC");
    NEED(write(appended, "two\n", 4));
    CHECK(stat("log", &status) == 0 && status.st_size == 8, "log has %ld bytes",
          (long)status.st_size);
    CHECK(fcntl(appended, F_GETFL) & O_APPEND, "O_APPEND");
    holds("deleted file", unlinked, "deleted");
    NEED(pwrite(unlinked, "IS", 2, 0));
    NEED(lseek(unlinked, 0, SEEK_SET));
    holds("deleted file, from its start", unlinked, "ISs deleted");
    CHECK(fstat(unlinked, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 11,
          "deleted file: stat");
    names(directory, after, sizeof after);
    CHECK(strcmp(after, next_names) == 0, "directory: goes on with %.60s, not %.60s", after,
          next_names);
}

static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                      "/dev/urandom"};
static int device[5];
static void make_devices(void) {
    for (int i = 0; i < 5; i++)
        device[i] = (int)NEED(open(devices[i], O_RDWR));
}
static void check_devices(void) {
    char byte = 1;
    struct stat of_fd, of_path;
    for (int i = 0; i < 5; i++) {
        CHECK(fstat(device[i], &of_fd) == 0 && stat(devices[i], &of_path) == 0 &&
                  of_fd.st_rdev == of_path.st_rdev && S_ISCHR(of_fd.st_mode),
              "%s is another device", devices[i]);
        ssize_t got = read(device[i], &byte, 1);
        CHECK(got == (i == 0 ? 0 : 1), "%s: read gives %zd", devices[i], got);
    }
    CHECK(write(device[2], "x", 1) == -1 && errno == ENOSPC, "/dev/full takes a byte");
}

static int filled[2], packets[2], orphan[2], ended[2], spare, fifo_both, fifo_read, fifo_write;
static int fifo_quiet, fifo_orphan;
static char big[PIPE_SIZE / 2];
static void make_pipes(void) {
    NEED(pipe2(filled, O_NONBLOCK));
    NEED(fcntl(filled[1], F_SETPIPE_SZ, PIPE_SIZE));
    fill(big, sizeof big, 7);
    NEED(write(filled[1], big, sizeof big) == sizeof big ? 0 : -1);
    spare = (int)NEED(dup(filled[1]));
    NEED(pipe2(packets, O_DIRECT | O_NONBLOCK));
    NEED(write(packets[1], "first", 5));
    NEED(write(packets[1], "second packet", 13));
    NEED(write(packets[1], "3", 1));
    NEED(pipe(orphan));
    NEED(close(orphan[0]));
    NEED(pipe(ended));
    NEED(write(ended[1], "the rest", 8));
    NEED(close(ended[1]));
    unlink("fifo");
    NEED(mkfifo("fifo", 0600));
    fifo_both = (int)NEED(open("fifo", O_RDWR | O_NONBLOCK));
    NEED(write(fifo_both, "in the fifo", 11));
    unlink("fifo2");
    NEED(mkfifo("fifo2", 0600));
    fifo_read = (int)NEED(open("fifo2", O_RDONLY | O_NONBLOCK));
    fifo_write = (int)NEED(open("fifo2", O_WRONLY));
    unlink("fifo3");
    NEED(mkfifo("fifo3", 0600));
    fifo_quiet = (int)NEED(open("fifo3", O_RDONLY | O_NONBLOCK));
    unlink("fifo4");
    NEED(mkfifo("fifo4", 0600));
    int reader = (int)NEED(open("fifo4", O_RDONLY | O_NONBLOCK));
    fifo_orphan = (int)NEED(open("fifo4", O_WRONLY));
    NEED(close(reader));
}
static short polled(int fd) {
    struct pollfd asked = {.fd = fd, .events = POLLIN | POLLOUT};
    NEED(poll(&asked, 1, 0));
    return asked.revents;
}
static void check_pipes(void) {
    static char back[sizeof big];
    int size = fcntl(filled[0], F_GETPIPE_SZ);
    CHECK(size == PIPE_SIZE, "pipe has a capacity of %d", size);
    CHECK(read(filled[0], back, sizeof back) == sizeof back, "pipe: content is short");
    verify("pipe", back, sizeof back, 7);
    is_empty("pipe", filled[0]);
    NEED(write(spare, "again", 5));
    holds("pipe through a dup of its end", filled[0], "again");
    static const char *const expected[] = {"first", "second packet", "3"};
    for (int i = 0; i < 3; i++) {
        char packet[64] = {0};
        ssize_t got = read(packets[0], packet, sizeof packet);
        CHECK(got == (ssize_t)strlen(expected[i]) && strcmp(packet, expected[i]) == 0,
              "packet %d is %zd bytes: %s", i, got, packet);
    }
    is_empty("packet pipe", packets[0]);
    NEED(write(packets[1], "x", 1));
    NEED(write(packets[1], "y", 1));
    holds("packet mode", packets[0], "x");
    CHECK(write(orphan[1], "x", 1) == -1 && errno == EPIPE, "a pipe without readers takes a byte");
    holds("pipe without writers", ended[0], "the rest");
    CHECK(read(ended[0], back, 1) == 0, "no end of file in a pipe without writers");
    holds("FIFO", fifo_both, "in the fifo");
    is_empty("FIFO", fifo_both);
    is_empty("second FIFO", fifo_read);
    NEED(write(fifo_write, "through", 7));
    holds("second FIFO", fifo_read, "through");
    struct stat of_fd, of_path;
    NEED(fstat(fifo_read, &of_fd));
    NEED(stat("fifo2", &of_path));
    CHECK(of_fd.st_ino == of_path.st_ino, "FIFO is no longer the one with a name");
    CHECK(polled(fifo_quiet) == 0, "a FIFO that nobody has written to: events %x",
          (unsigned)polled(fifo_quiet));
    int writer = (int)NEED(open("fifo3", O_WRONLY | O_NONBLOCK));
    NEED(write(writer, "first", 5));
    holds("FIFO that waited for its writer", fifo_quiet, "first");
    NEED(close(writer));
    CHECK(polled(fifo_quiet) == POLLHUP, "a FIFO whose writer has gone: events %x",
          (unsigned)polled(fifo_quiet));
    CHECK(polled(fifo_orphan) & POLLERR, "a FIFO without readers: events %x",
          (unsigned)polled(fifo_orphan));
}

static int plain_event, semaphore, sealed;
static void make_objects(void) {
    plain_event = (int)NEED(eventfd(7, EFD_NONBLOCK));
    semaphore = (int)NEED(eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC));
    sealed = (int)NEED(memfd_create("sealed thing", MFD_ALLOW_SEALING));
    NEED(write(sealed, "sealed content", 14));
    NEED(lseek(sealed, 7, SEEK_SET));
    NEED(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
}
static void check_objects(void) {
    uint64_t value = 0;
    CHECK(read(plain_event, &value, 8) == 8 && value == 7, "eventfd holds %lu", value);
    is_empty("eventfd", plain_event);
    CHECK(read(semaphore, &value, 8) == 8 && value == 1, "eventfd semaphore gives %lu", value);
    CHECK(read(semaphore, &value, 8) == 8 && value == 1, "eventfd semaphore gives %lu", value);
    holds("memfd", sealed, "content");
    CHECK(fcntl(sealed, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
          "seals of a memfd");
    CHECK(pwrite(sealed, "x", 1, 0) == -1 && errno == EPERM, "a sealed memfd takes a byte");
}

static int outer, inner, edge[2], once[2], level[2];
static void watch_fd(int set, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}
static void make_epoll(void) {
    struct epoll_event event;
    NEED(pipe2(edge, O_NONBLOCK));
    NEED(pipe2(once, O_NONBLOCK));
    NEED(pipe2(level, O_NONBLOCK));
    inner = (int)NEED(epoll_create1(0));
    outer = (int)NEED(epoll_create1(EPOLL_CLOEXEC));
    watch_fd(inner, edge[0], EPOLLIN | EPOLLET, 0xfeedfacecafebeef);
    watch_fd(inner, once[0], EPOLLIN | EPOLLONESHOT, 2);
    watch_fd(outer, inner, EPOLLIN, 3);
    watch_fd(outer, level[0], EPOLLIN | EPOLLRDHUP, 4);
    /* The one-shot member fires: it stays in the set, disarmed. */
    NEED(write(once[1], "x", 1));
    NEED(epoll_wait(inner, &event, 1, 0) == 1 && event.data.u64 == 2 ? 0 : -1);
}
static void expect_event(const char *what, int set, int wanted, uint64_t data) {
    struct epoll_event events[4];
    int got = epoll_wait(set, events, 4, 0);
    CHECK(got == wanted && (got != 1 || events[0].data.u64 == data),
          "%s: %d events, data %lx, not %d with %lx", what, got, got > 0 ? events[0].data.u64 : 0,
          wanted, data);
}
static void check_epoll(void) {
    expect_event("epoll: one-shot member is armed again", inner, 0, 0);
    expect_event("epoll: quiet outer set", outer, 0, 0);
    NEED(write(edge[1], "x", 1));
    expect_event("epoll: nested", outer, 1, 3);
    expect_event("epoll: edge-triggered", inner, 1, 0xfeedfacecafebeef);
    expect_event("epoll: edge-triggered, told twice", inner, 0, 0);
    struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 5};
    CHECK(epoll_ctl(inner, EPOLL_CTL_MOD, once[0], &again) == 0, "one-shot member is gone: %s",
          strerror(errno));
    expect_event("epoll: one-shot armed again", inner, 1, 5);
    NEED(write(level[1], "x", 1));
    expect_event("epoll: level", outer, 1, 4);
    expect_event("epoll: level stays", outer, 1, 4);
}

/* Numbers and flags of all descriptors, as text. */
static void table(char *out, size_t capacity) {
    size_t length = 0;
    for (int fd = 3; fd < HIGH + 10; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0)
            length += (size_t)snprintf(out + length, capacity - length, "%d:%o:%d ", fd, flags,
                                       fcntl(fd, F_GETFD));
    }
}

int main(void) {
    static char before[4096], after[4096];
    signal(SIGPIPE, SIG_IGN);
    make_files();
    make_devices();
    make_pipes();
    make_objects();
    make_epoll();
    table(before, sizeof before);
    self_take();
    ready();
    await_go();
    self_compare(false);
    table(after, sizeof after);
    CHECK(strcmp(before, after) == 0, "descriptors were %s, are %s", before, after);
    check_files();
    check_devices();
    check_pipes();
    check_objects();
    check_epoll();
    finish();
}
