/*
 * A session of its own, whose terminal is one of its own: ids, what the terminal sends its
 * foreground process group, and the name /dev/tty. With `named`, that name is all by which the
 * slave is open. With `outer`, a key of the terminal that it was started in is to come, too.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int master, slave = -1, tty, writer;
static bool named, outer;
static sigset_t signals;

/* What leads a session with a terminal leaves the new one to a child. */
static void begin_session(void) {
    if (setsid() >= 0)
        return;
    pid_t child = (pid_t)NEED(fork());
    if (child == 0) {
        NEED(setsid());
        return;
    }
    int status;
    NEED(waitpid(child, &status, 0));
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void make(void) {
    begin_session();
    sigemptyset(&signals);
    int all[] = {SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGHUP, SIGCONT};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sigaddset(&signals, all[i]);
    NEED(sigprocmask(SIG_BLOCK, &signals, NULL));
    master = (int)NEED(posix_openpt(O_RDWR | O_NOCTTY));
    NEED(grantpt(master));
    NEED(unlockpt(master));
    NEED(ioctl(master, TIOCSWINSZ, &(struct winsize){5, 6, 7, 8}));
    /* It becomes the controlling terminal by being opened. */
    slave = (int)NEED(open(ptsname(master), O_RDWR));
    tty = (int)NEED(open("/dev/tty", O_RDWR | O_NONBLOCK));
    writer = (int)NEED(open("/dev/tty", O_WRONLY | O_CLOEXEC));
    if (named)
        NEED(close(slave));
    struct termios modes;
    NEED(tcgetattr(tty, &modes));
    modes.c_lflag &= ~ECHO;
    NEED(tcsetattr(tty, TCSANOW, &modes));
    NEED(write(master, "half", 4));
    NEED(write(writer, "said", 4));
}

static void expect(const char *what, int fd, const char *text) {
    char got[64];
    struct pollfd one = {.fd = fd, .events = POLLIN};
    ssize_t size = poll(&one, 1, 0) == 1 ? read(fd, got, sizeof got) : -1;
    CHECK(size == (ssize_t)strlen(text) && memcmp(got, text, size) == 0, "%s: read %zd: %.*s", what,
          size, size < 0 ? 0 : (int)size, got);
}

/* Waits for it, as the kernel delivers keys a little later; nothing else may come. */
static void expect_signal(const char *what, int signal) {
    struct timespec patience = {.tv_sec = 60};
    int got = sigtimedwait(&signals, NULL, &patience);
    CHECK(got == signal, "%s gives signal %d", what, got);
}

static int device(int fd) {
    int number = -1;
    NEED(ioctl(fd, TIOCGDEV, &number));
    return number;
}

static void check_ids(void) {
    pid_t own = getpid();
    int session = -1, group = -1;
    CHECK(getsid(0) == own, "session %d", getsid(0));
    CHECK(getpgrp() == own, "process group %d", getpgrp());
    CHECK(tcgetsid(tty) == own, "the terminal's session is %d", tcgetsid(tty));
    CHECK(tcgetpgrp(writer) == own, "the foreground is %d", tcgetpgrp(writer));
    CHECK(ioctl(master, TIOCGSID, &session) == 0 && session == own, "by the master: session %d",
          session);
    CHECK(ioctl(master, TIOCGPGRP, &group) == 0 && group == own, "by the master: group %d", group);
}

static void check_names(void) {
    struct stat by_name, own;
    NEED(fstat(tty, &by_name));
    NEED(stat("/dev/tty", &own));
    CHECK(by_name.st_rdev == own.st_rdev, "/dev/tty is another device");
    int flags = fcntl(tty, F_GETFL);
    CHECK((flags & (O_ACCMODE | O_NONBLOCK)) == (O_RDWR | O_NONBLOCK), "flags %#x", flags);
    CHECK((fcntl(writer, F_GETFL) & O_ACCMODE) == O_WRONLY, "the access mode");
    CHECK(fcntl(writer, F_GETFD) == FD_CLOEXEC && fcntl(tty, F_GETFD) == 0, "close-on-exec");
    NEED(stat(ptsname(master), &own));
    int again = (int)NEED(open("/dev/tty", O_RDWR));
    CHECK(device(tty) == (int)own.st_rdev && device(again) == (int)own.st_rdev &&
              device(writer) == (int)own.st_rdev,
          "/dev/tty is not %s", ptsname(master));
    NEED(close(again));
    if (!named)
        CHECK(isatty(slave) && strcmp(ttyname(slave), ptsname(master)) == 0, "the slave is %s",
              ttyname(slave));
}

static void check_signals(void) {
    sigset_t pending;
    NEED(sigpending(&pending));
    for (int signal = 1; signal < 32; signal++)
        CHECK(sigismember(&pending, signal) != 1, "signal %d has come", signal);
    NEED(ioctl(master, TIOCSWINSZ, &(struct winsize){5, 6, 7, 8}));
    NEED(ioctl(master, TIOCSWINSZ, &(struct winsize){5, 6, 7, 9}));
    expect_signal("another size", SIGWINCH);
    NEED(write(master, "\003", 1));
    expect_signal("Ctrl-C", SIGINT);
    NEED(write(master, "\034", 1));
    expect_signal("Ctrl-\\", SIGQUIT);
    NEED(write(master, "\032", 1));
    expect_signal("Ctrl-Z", SIGTSTP);
}

static void check_hangup(void) {
    char byte;
    NEED(close(master));
    expect_signal("the end of the terminal", SIGHUP);
    expect_signal("the end of the terminal", SIGCONT);
    CHECK(read(tty, &byte, 1) == 0, "no end of file behind a hangup");
    CHECK(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO, "there is still a terminal");
}

int main(int argc, char **argv) {
    named = argc > 1 && strcmp(argv[1], "named") == 0;
    outer = argc > 1 && strcmp(argv[1], "outer") == 0;
    make();
    ready();
    await_go();
    if (outer)
        expect_signal("Ctrl-C of the other terminal", SIGINT);
    check_ids();
    check_names();
    CHECK(write(master, " line\n", 6) == 6, "cannot type");
    CHECK(poll(&(struct pollfd){.fd = tty, .events = POLLIN}, 1, 60000) == 1, "nothing arrives");
    expect("the line", tty, "half line\n");
    expect("the output", master, "said");
    check_signals();
    check_hangup();
    finish();
}
