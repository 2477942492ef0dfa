/*
 * Descriptors on their way in Unix domain sockets (SCM_RIGHTS), with no number left in the process:
 * where in the stream they are, what they are, and what they share. Works in the current directory.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

enum { MOST = 8, SECONDS = 100000, MARGIN = 300 };

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(MOST * sizeof(int))];
};

/* Sends, and closes what is sent. */
static void send_with(int through, const char *text, const int *fds, size_t count) {
    union control control = {0};
    struct iovec vector = {(char *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    NEED(sendmsg(through, &message, 0));
    for (size_t i = 0; i < count; i++)
        NEED(close(fds[i]));
}
static void send_one(int through, const char *text, int fd) {
    send_with(through, text, &fd, 1);
}

/* Receives; complains unless it is that text with so many descriptors. What is missing is -1. */
static void receive(int from, const char *text, int *fds, size_t count) {
    char bytes[64] = {0};
    union control control = {0};
    struct iovec vector = {bytes, sizeof bytes - 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    ssize_t got = recvmsg(from, &message, MSG_DONTWAIT);
    CHECK(got == (ssize_t)strlen(text) && strcmp(bytes, text) == 0,
          "recvmsg gives %zd \"%s\", not \"%s\"", got, got < 0 ? strerror(errno) : bytes, text);
    struct cmsghdr *header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
    size_t size = header == NULL ? 0 : header->cmsg_len - CMSG_LEN(0);
    CHECK(size == count * sizeof(int), "\"%s\" comes with %zu bytes of descriptors, not %zu", text,
          size, count * sizeof(int));
    memset(fds, -1, count * sizeof(int));
    if (size == count * sizeof(int) && count > 0)
        memcpy(fds, CMSG_DATA(header), size);
}
static int receive_one(int from, const char *text) {
    int fd;
    receive(from, text, &fd, 1);
    return fd;
}

static uint64_t count_of(int fd) {
    uint64_t count = 0;
    return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}
static short events_of(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    NEED(poll(&one, 1, 0));
    return one.revents;
}

/* In a stream, between other bytes. The file is shared with a descriptor. */
static int stream[2], file, watching;
static void make_stream(void) {
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
    NEED(send(stream[0], "pl", 2, 0));
    NEED(send(stream[0], "ain ", 4, 0));
    int memory = (int)NEED(memfd_create("on its way", 0));
    NEED(write(memory, "memory", 6));
    file = (int)NEED(open("shared", O_RDWR | O_CREAT, 0600));
    NEED(write(file, "0123456789", 10));
    watching = (int)NEED(epoll_create1(0));
    int counter = (int)NEED(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 77};
    NEED(epoll_ctl(watching, EPOLL_CTL_ADD, counter, &event));
    NEED(epoll_wait(watching, &event, 1, 0));
    send_with(stream[0], "three", (int[]){memory, (int)NEED(dup(file)), counter}, 3);
    NEED(send(stream[0], "rest", 4, 0));
}
static void check_stream(void) {
    int fds[3];
    char text[8] = {0};
    /* A read ends behind what carries descriptors. */
    receive(stream[1], "plain three", fds, 3);
    receive(stream[1], "rest", NULL, 0);
    CHECK(pread(fds[0], text, 7, 0) == 6 && strcmp(text, "memory") == 0, "memfd: \"%s\"", text);
    CHECK(lseek(fds[0], 0, SEEK_CUR) == 6, "memfd: offset %ld", (long)lseek(fds[0], 0, SEEK_CUR));
    CHECK(lseek(file, 0, SEEK_CUR) == 10, "file: offset %ld", (long)lseek(file, 0, SEEK_CUR));
    NEED(lseek(file, 4, SEEK_SET));
    CHECK(lseek(fds[1], 0, SEEK_CUR) == 4, "the offset is not shared");
    CHECK(fcntl(fds[2], F_GETFL) == (O_RDWR | O_NONBLOCK), "eventfd: flags %#x",
          fcntl(fds[2], F_GETFL));
    struct epoll_event event = {0};
    NEED(write(fds[2], &(uint64_t){1}, sizeof(uint64_t)));
    CHECK(epoll_wait(watching, &event, 1, 0) == 1 && event.data.u64 == 77, "epoll set: no event");
    CHECK(count_of(fds[2]) == 1 && count_of(fds[2]) == 1, "eventfd: no semaphore");
}

/* In messages: the end of a pipe, a timer, a locked file, a message without bytes. */
static int packets[2], reader;
static void make_packets(void) {
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets));
    NEED(pipe2(ends, O_NONBLOCK));
    reader = ends[0];
    NEED(write(ends[1], "unread", 6));
    send_one(packets[0], "writer", ends[1]);
    int timer = (int)NEED(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec time = {.it_value = {SECONDS, 0}};
    NEED(timerfd_settime(timer, 0, &time, NULL));
    send_one(packets[0], "timer", timer);
    int locked = (int)NEED(open("locked", O_RDWR | O_CREAT, 0600));
    NEED(flock(locked, LOCK_EX));
    send_one(packets[0], "", locked);
    NEED(send(packets[0], "last", 4, 0));
}
static void check_packets(void) {
    char text[8] = {0};
    CHECK(read(reader, text, sizeof text) == 6 && strcmp(text, "unread") == 0, "pipe: \"%s\"",
          text);
    CHECK(read(reader, text, 1) == -1 && errno == EAGAIN, "the pipe has no writer");
    int writer = receive_one(packets[1], "writer");
    CHECK(write(writer, "x", 1) == 1 && read(reader, text, 8) == 1, "pipe: %s", strerror(errno));
    close(writer);
    CHECK(read(reader, text, 1) == 0, "the pipe has another writer");
    struct itimerspec left = {0};
    CHECK(timerfd_gettime(receive_one(packets[1], "timer"), &left) == 0, "timer: %s",
          strerror(errno));
    CHECK(left.it_value.tv_sec <= SECONDS && left.it_value.tv_sec >= SECONDS - MARGIN,
          "timer: %ld s left", (long)left.it_value.tv_sec);
    int other = (int)NEED(open("locked", O_RDWR));
    CHECK(flock(other, LOCK_EX | LOCK_NB) == -1, "the file on its way is not locked");
    int locked = receive_one(packets[1], "");
    close(locked);
    CHECK(flock(other, LOCK_EX | LOCK_NB) == 0, "another description has the lock");
    receive(packets[1], "last", NULL, 0);
}

/* Sockets in sockets: one that carries another, and both ends of a pair in the queue of one of
 * them. */
static int outer[2], circle;
static void make_nested(void) {
    int inner[2], ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, outer));
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, inner));
    send_one(inner[0], "innermost", (int)NEED(eventfd(9, EFD_NONBLOCK)));
    send_with(outer[0], "inner", inner, 2);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    circle = (int)NEED(dup(ends[0]));
    int through = (int)NEED(dup(ends[1]));
    send_with(through, "itself", ends, 2);
    NEED(close(through));
}
static void check_nested(void) {
    int inner[2], ends[2];
    receive(outer[1], "inner", inner, 2);
    CHECK(count_of(receive_one(inner[1], "innermost")) == 9, "nested: another count");
    CHECK(send(inner[0], "talk", 4, 0) == 4, "nested: send: %s", strerror(errno));
    receive(inner[1], "talk", NULL, 0);
    CHECK(events_of(circle) == POLLIN, "its own queue: events %#x", events_of(circle));
    receive(circle, "itself", ends, 2);
    CHECK(send(ends[1], "back", 4, 0) == 4, "its own queue: send: %s", strerror(errno));
    receive(ends[0], "back", NULL, 0);
    close(ends[1]);
    CHECK(events_of(circle) == (POLLIN | POLLHUP),
          "its own queue: the other end is open elsewhere");
}

/* The other end is closed, and never read what it was sent. */
static int orphan;
static void make_orphan(void) {
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    orphan = ends[1];
    send_one(ends[0], "left", (int)NEED(eventfd(2, EFD_NONBLOCK)));
    NEED(close(ends[0]));
}
static void check_orphan(void) {
    CHECK(count_of(receive_one(orphan, "left")) == 2, "left behind: another count");
    CHECK(recv(orphan, &(char){0}, 1, 0) == 0, "left behind: no end");
}

/* What begins at the end: watches, signals, a lease. What is mapped is opened again meanwhile. */
static int late[2], talk;
static char *shown;
static void make_late(void) {
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, late));
    NEED(mkdir("watched", 0700));
    int watch = (int)NEED(inotify_init1(IN_NONBLOCK));
    for (int i = 0; i < 3; i++)
        NEED(inotify_rm_watch(watch, (int)NEED(inotify_add_watch(watch, "watched", IN_CREATE))));
    char gone[256];
    NEED(read(watch, gone, sizeof gone));
    CHECK(inotify_add_watch(watch, "watched", IN_CREATE) == 4, "the first number of the watch");
    int all = (int)NEED(open("watched/all", O_RDWR | O_CREAT, 0600));
    NEED(read(watch, gone, sizeof gone));
    NEED(ftruncate(all, 4096));
    shown = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, all, 0);
    NEED(shown == MAP_FAILED ? -1 : 0);
    NEED(close(all));
    int nosy = (int)NEED(inotify_init1(IN_NONBLOCK));
    NEED(inotify_add_watch(nosy, "watched/all", IN_CLOSE_WRITE | IN_MODIFY));
    send_with(late[0], "watches", (int[]){watch, nosy}, 2);

    sigset_t io;
    sigemptyset(&io);
    sigaddset(&io, SIGIO);
    NEED(sigprocmask(SIG_BLOCK, &io, NULL));
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    talk = ends[0];
    NEED(fcntl(ends[1], F_SETOWN, getpid()));
    NEED(fcntl(ends[1], F_SETFL, O_ASYNC));
    send_one(late[0], "signals", ends[1]);
    int leased = (int)NEED(open("leased", O_RDONLY | O_CREAT, 0600));
    NEED(fcntl(leased, F_SETLEASE, F_RDLCK));
    send_one(late[0], "lease", leased);
}
static bool is_pending(int signal) {
    sigset_t pending;
    NEED(sigpending(&pending));
    return sigismember(&pending, signal) == 1;
}
static void check_late(void) {
    struct {
        struct inotify_event event;
        char name[NAME_MAX + 1];
    } got;
    sigset_t io;
    int watches[2], owned, leased;
    sigemptyset(&io);
    sigaddset(&io, SIGIO);
    receive(late[1], "watches", watches, 2);
    owned = receive_one(late[1], "signals");
    leased = receive_one(late[1], "lease");
    for (int i = 0; i < 2; i++)
        CHECK(read(watches[i], &got, sizeof got) == -1 && errno == EAGAIN,
              "watch %d tells of event %#x", i, got.event.mask);
    NEED(close((int)NEED(open("watched/new", O_RDWR | O_CREAT, 0600))));
    CHECK(read(watches[0], &got, sizeof got) > 0 && got.event.wd == 4 &&
              got.event.mask == IN_CREATE && strcmp(got.event.name, "new") == 0,
          "the watch tells of event %#x of %d", got.event.mask, got.event.wd);
    NEED(unlink("watched/new"));
    NEED(close((int)NEED(open("watched/all", O_WRONLY))));
    CHECK(read(watches[1], &got, sizeof got) > 0 && got.event.wd == 1 &&
              got.event.mask == IN_CLOSE_WRITE,
          "the other tells of event %#x of %d", got.event.mask, got.event.wd);

    CHECK(!is_pending(SIGIO), "a signal has come");
    NEED(send(talk, "x", 1, 0));
    CHECK(is_pending(SIGIO), "no signal for input");
    NEED(sigwaitinfo(&io, NULL));
    NEED(close(owned));
    CHECK(fcntl(leased, F_GETLEASE) == F_RDLCK, "lease %d", fcntl(leased, F_GETLEASE));
    CHECK(open("leased", O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK, "open: %s",
          strerror(errno));
    CHECK(is_pending(SIGIO), "no signal for the lease");
    NEED(fcntl(leased, F_SETLEASE, F_UNLCK));
    NEED(sigwaitinfo(&io, NULL));
}

/* A pseudoterminal: both sides on their way, and what waits in it. */
static int console[2];
static void make_console(void) {
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, console));
    int master = (int)NEED(posix_openpt(O_RDWR | O_NOCTTY));
    NEED(grantpt(master));
    NEED(unlockpt(master));
    int slave = (int)NEED(open(ptsname(master), O_RDWR | O_NOCTTY));
    struct termios modes;
    NEED(tcgetattr(slave, &modes));
    modes.c_lflag &= ~ECHO;
    modes.c_oflag &= ~OPOST;
    NEED(tcsetattr(slave, TCSANOW, &modes));
    NEED(write(master, "beg", 3));
    NEED(write(slave, "said\n", 5));
    send_with(console[0], "console", (int[]){master, slave}, 2);
}
static void check_console(void) {
    int sides[2];
    char text[16] = {0};
    receive(console[1], "console", sides, 2);
    CHECK(strcmp(ptsname(sides[0]), ttyname(sides[1])) == 0, "they are not of one terminal");
    CHECK(read(sides[0], text, sizeof text) == 5 && strcmp(text, "said\n") == 0, "output: %s",
          text);
    NEED(write(sides[0], "un\n", 3));
    memset(text, 0, sizeof text);
    CHECK(read(sides[1], text, sizeof text) == 6 && strcmp(text, "begun\n") == 0, "input: %s",
          text);
}

int main(void) {
    make_stream();
    make_packets();
    make_nested();
    make_orphan();
    make_late();
    make_console();
    ready();
    await_go();
    check_stream();
    check_packets();
    check_nested();
    check_orphan();
    check_late();
    check_console();
    finish();
}
