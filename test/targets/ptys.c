/*
 * Pseudoterminals of the process itself: modes, size, switches, numbers; what was written and not
 * read, in both directions, a line that is only begun included; sides that are closed; a thread
 * that waits for one.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Others are not soon to get numbers above as many as these. */
enum { SPARE = 80, BULK = 3000, MANY = 7000 };

static struct pty {
    int master, slave;
    char name[64];
    struct termios modes;
} lines, bulk, closed, hung, waiting, locked;

static int spare[SPARE];
/* Without exclusive mode, which an ordinary user cannot look behind. */
static bool plain;

static struct pty make(int flags) {
    struct pty pty = {0};
    pty.master = (int)NEED(posix_openpt(O_RDWR | O_NOCTTY | flags));
    NEED(grantpt(pty.master));
    NEED(unlockpt(pty.master));
    NEED(ptsname_r(pty.master, pty.name, sizeof pty.name));
    pty.slave = (int)NEED(open(pty.name, O_RDWR | O_NOCTTY));
    NEED(tcgetattr(pty.slave, &pty.modes));
    return pty;
}
/* The C library has room for more than the kernel tells. */
static void set_modes(struct pty *pty) {
    NEED(tcsetattr(pty->slave, TCSANOW, &pty->modes));
    memset(&pty->modes, 0, sizeof pty->modes);
    NEED(tcgetattr(pty->slave, &pty->modes));
}
static void put(int fd, const void *bytes, size_t size) {
    NEED(write(fd, bytes, size) == (ssize_t)size ? 0 : -1);
}
static void say(int fd, const char *text) {
    put(fd, text, strlen(text));
}
static void until(int fd, short events) {
    struct pollfd one = {.fd = fd, .events = events};
    NEED(poll(&one, 1, -1));
}
/* Nothing here may wait: what is missing is to be told. */
static ssize_t read_now(int fd, void *bytes, size_t size) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    errno = EAGAIN;
    return poll(&one, 1, 0) == 1 ? read(fd, bytes, size) : -1;
}
static void expect(const char *what, int fd, const char *text) {
    char got[256];
    ssize_t size = read_now(fd, got, sizeof got);
    CHECK(size == (ssize_t)strlen(text) && memcmp(got, text, size) == 0, "%s: read %zd: %.*s", what,
          size, size < 0 ? 0 : (int)size, got);
}
static int waits_in(int fd) {
    int count = -1;
    NEED(ioctl(fd, FIONREAD, &count));
    return count;
}

static char arrived[8];
static void *wait_for_input(void *unused) {
    (void)unused;
    CHECK(read(waiting.master, arrived, sizeof arrived) == 4, "the thread that waits for output");
    return NULL;
}

static unsigned char many[MANY];
static int set;
static pthread_t thread;

static void make_all(void) {
    int on = 1;
    for (int i = 0; i < SPARE; i++)
        spare[i] = (int)NEED(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    lines = make(0);
    lines.modes.c_cc[VERASE] = 'E';
    set_modes(&lines);
    NEED(ioctl(lines.master, TIOCSWINSZ, &(struct winsize){7, 8, 9, 10}));
    say(lines.master, "a line\nan end\004begE");
    until(lines.slave, POLLIN);
    until(lines.master, POLLIN);
    say(lines.slave, "said\n");

    bulk = make(O_NONBLOCK);
    cfmakeraw(&bulk.modes);
    bulk.modes.c_cc[VMIN] = 3;
    set_modes(&bulk);
    NEED(ioctl(bulk.master, TIOCPKT, &on));
    fill(many, sizeof many, 1);
    put(bulk.master, many, BULK);
    put(bulk.slave, many, MANY);
    set = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, bulk.master, &event));

    closed = make(0);
    say(closed.master, "nobody\n");
    until(closed.slave, POLLIN);
    say(closed.slave, "the last");
    NEED(close(closed.slave));

    hung = make(0);
    NEED(close(hung.master));

    locked = make(0);
    NEED(ioctl(locked.master, TIOCSPTLCK, &on));
    if (!plain)
        NEED(ioctl(locked.slave, TIOCEXCL));

    waiting = make(0);
    cfmakeraw(&waiting.modes);
    set_modes(&waiting);
    NEED(pthread_create(&thread, NULL, wait_for_input, NULL));
    for (int i = 0; i < SPARE; i++)
        NEED(close(spare[i]));
}

static void same(const char *what, const struct pty *pty) {
    char name[64];
    struct termios modes = {0};
    CHECK(ptsname_r(pty->master, name, sizeof name) == 0 && strcmp(name, pty->name) == 0,
          "%s is %s, not %s", what, name, pty->name);
    CHECK(tcgetattr(pty->master, &modes) == 0 && memcmp(&modes, &pty->modes, sizeof modes) == 0,
          "modes of %s", what);
}

static void check_lines(void) {
    struct winsize size;
    same("the one with lines", &lines);
    CHECK(ioctl(lines.slave, TIOCGWINSZ, &size) == 0 && size.ws_row == 7 && size.ws_ypixel == 10,
          "window size");
    CHECK(waits_in(lines.slave) == 13, "%d bytes of lines wait", waits_in(lines.slave));
    expect("line", lines.slave, "a line\n");
    expect("line that was ended", lines.slave, "an end");
    expect("output", lines.master, "a line\r\nan endbeg\b \bsaid\r\n");
    /* The line that was begun can still be changed, and is echoed. */
    say(lines.master, "Eat\n");
    until(lines.slave, POLLIN);
    expect("line that was begun", lines.slave, "bat\n");
    expect("echo", lines.master, "\b \bat\r\n");
}

static void check_bulk(void) {
    static unsigned char got[MANY + 64];
    struct epoll_event event = {0};
    int packets = 0;
    same("the raw one", &bulk);
    CHECK(fcntl(bulk.master, F_GETFL) & O_NONBLOCK, "O_NONBLOCK");
    CHECK(ioctl(bulk.master, TIOCGPKT, &packets) == 0 && packets, "packet mode");
    CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == 5, "epoll: no output");
    ssize_t size = read_now(bulk.slave, got, sizeof got);
    CHECK(size == BULK && memcmp(got, many, BULK) == 0, "raw input: %zd bytes", size);
    size_t total = 0;
    while (poll(&(struct pollfd){.fd = bulk.master, .events = POLLIN}, 1, 0) == 1) {
        size = read(bulk.master, got, sizeof got);
        CHECK(size > 1 && got[0] == TIOCPKT_DATA && total + size - 1 <= MANY &&
                  memcmp(got + 1, many + total, size - 1) == 0,
              "output at %zu: %zd bytes", total, size);
        if (size < 2)
            return;
        total += size - 1;
    }
    CHECK(total == MANY, "%zu bytes of output", total);
}

static void check_sides(void) {
    char byte;
    same("the one whose slave is closed", &closed);
    CHECK(poll(&(struct pollfd){.fd = closed.master, .events = POLLIN}, 1, 0) == 1, "no end");
    expect("what was said last", closed.master, "nobody\r\nthe last");
    CHECK(read_now(closed.master, &byte, 1) == -1 && errno == EIO, "a closed slave gives no EIO");
    closed.slave = open(closed.name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    CHECK(closed.slave >= 0, "cannot open %s again", closed.name);
    expect("what nobody has read", closed.slave, "nobody\n");

    CHECK(read_now(hung.slave, &byte, 1) == 0, "no end of file behind a hangup");
    CHECK(write(hung.slave, "", 1) == -1 && errno == EIO, "one can write to what was hung up");

    int lock = 0, exclusive = 0;
    same("the locked one", &locked);
    CHECK(ioctl(locked.master, TIOCGPTLCK, &lock) == 0 && lock, "the lock");
    CHECK(ioctl(locked.slave, TIOCGEXCL, &exclusive) == 0 && exclusive == !plain, "exclusive mode");

    same("the one that is waited for", &waiting);
    say(waiting.slave, "here");
    NEED(-pthread_join(thread, NULL));
    CHECK(memcmp(arrived, "here", 4) == 0, "the thread got something else");
}

int main(int argc, char **argv) {
    (void)argv;
    plain = argc > 1;
    make_all();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_lines();
    check_bulk();
    check_sides();
    finish();
}
