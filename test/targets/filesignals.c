/*
 * Signals that descriptors send: to whom (F_SETOWN, F_SETOWN_EX), which (F_SETSIG), whether
 * (O_ASYNC); and leases, which send them when others open the file. Works in the current directory.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 60 };

static pid_t other;
static pthread_t thread;

static void *wait_for_thread_signals(void *unused) {
    __atomic_store_n(&other, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    for (;;)
        pause();
    return unused;
}

static void owner_is(const char *what, int fd, int type, pid_t id) {
    struct f_owner_ex owner = {0};
    CHECK(fcntl(fd, F_GETOWN_EX, &owner) == 0 && (int)owner.type == type && owner.pid == id,
          "%s: owner is %d of type %d, not %d of type %d", what, owner.pid, owner.type, id, type);
}
static void signal_is(const char *what, int fd, int wanted) {
    int number = fcntl(fd, F_GETSIG);
    CHECK(number == wanted, "%s: signal is %d, not %d", what, number, wanted);
}

/* A blocked signal is there already, or comes; gives what it says. */
static siginfo_t await_signal(const char *what, int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    siginfo_t info = {0};
    struct timespec patience = {.tv_sec = PATIENCE};
    CHECK(sigtimedwait(&set, &info, &patience) == number, "%s: signal %d does not come", what,
          number);
    return info;
}
static void none_pending(const char *what) {
    sigset_t set;
    NEED(sigpending(&set));
    for (int number = 1; number <= SIGRTMAX; number++)
        CHECK(sigismember(&set, number) != 1, "%s: signal %d is pending", what, number);
}

/* Whoever may look into the kernel can tell the number that a signal bears. */
enum { CLOSED = 77, SECOND = 78, SENT = 79, NUMBERED = 3 };
static int numbered[NUMBERED][2], carrier[2];
static const int numbers[NUMBERED] = {CLOSED, SECOND, SENT};

static void make_numbered(void) {
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, carrier));
    for (int i = 0; i < NUMBERED; i++) {
        NEED(pipe(numbered[i]));
        NEED(dup2(numbered[i][0], numbers[i]));
        NEED(fcntl(numbers[i], F_SETOWN, getpid()));
        NEED(fcntl(numbers[i], F_SETSIG, SIGRTMIN + 3));
        NEED(fcntl(numbers[i], F_SETFL, O_ASYNC));
    }
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &(struct iovec){"x", 1},
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &numbered[2][0], sizeof(int));
    NEED(sendmsg(carrier[0], &message, 0));
    NEED(close(numbered[2][0]));
    NEED(close(CLOSED));
    NEED(close(SENT));
}
static void check_numbered(void) {
    for (int i = 0; i < NUMBERED; i++) {
        NEED(write(numbered[i][1], "x", 1));
        siginfo_t info = await_signal("numbered", SIGRTMIN + 3);
        CHECK(info.si_fd == numbers[i], "numbered: signal of descriptor %d instead of %d",
              info.si_fd, numbers[i]);
    }
    none_pending("numbered");
    CHECK(fcntl(CLOSED, F_GETFD) == -1 && fcntl(SENT, F_GETFD) == -1, "a number is open");
}

static int pipe_ends[2], pair[2], plain_pipe[2], event, quiet, flagged, leased_read, leased_write;

static void make_signals(void) {
    NEED(pipe2(pipe_ends, O_NONBLOCK));
    NEED(fcntl(pipe_ends[0], F_SETOWN, getpid()));
    NEED(fcntl(pipe_ends[0], F_SETSIG, SIGRTMIN + 3));
    NEED(fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK | O_ASYNC));
    NEED(write(pipe_ends[1], "x", 1));
    await_signal("set-up", SIGRTMIN + 3);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    NEED(fcntl(pair[0], F_SETOWN_EX, &(struct f_owner_ex){F_OWNER_TID, other}));
    NEED(fcntl(pair[0], F_SETSIG, SIGRTMIN + 4));
    NEED(fcntl(pair[0], F_SETFL, O_ASYNC));
    NEED(pipe(plain_pipe));
    NEED(fcntl(plain_pipe[0], F_SETOWN_EX, &(struct f_owner_ex){F_OWNER_TID, getpid()}));
    NEED(fcntl(plain_pipe[0], F_SETFL, O_ASYNC));
    event = (int)NEED(eventfd(0, EFD_NONBLOCK));
    NEED(fcntl(event, F_SETOWN, getpid()));
    quiet = (int)NEED(open("quiet", O_RDWR | O_CREAT | O_APPEND, 0600));
    NEED(fcntl(quiet, F_SETSIG, SIGUSR2));
    /* A flag and no more: only F_SETFL makes signals come, and of no file. */
    flagged = (int)NEED(open("asynchronous", O_RDWR | O_CREAT | O_ASYNC, 0600));
}
static void check_signals(void) {
    owner_is("pipe", pipe_ends[0], F_OWNER_PID, getpid());
    signal_is("pipe", pipe_ends[0], SIGRTMIN + 3);
    owner_is("socket", pair[0], F_OWNER_TID, other);
    signal_is("socket", pair[0], SIGRTMIN + 4);
    owner_is("plain pipe", plain_pipe[0], F_OWNER_TID, getpid());
    signal_is("plain pipe", plain_pipe[0], 0);
    owner_is("eventfd", event, F_OWNER_PID, getpid());
    signal_is("file", quiet, SIGUSR2);
    owner_is("other end", pipe_ends[1], F_OWNER_TID, 0);
    CHECK(fcntl(pipe_ends[0], F_GETFL) == (O_NONBLOCK | O_ASYNC), "flags of a pipe");
    CHECK(fcntl(plain_pipe[0], F_GETFL) == O_ASYNC, "flags of a plain pipe");
    CHECK(fcntl(pair[0], F_GETFL) == (O_RDWR | O_ASYNC), "flags of a socket");
    CHECK(fcntl(flagged, F_GETFL) & O_ASYNC, "flags of a file");
    CHECK((fcntl(quiet, F_GETFL) & (O_APPEND | O_ASYNC)) == O_APPEND, "flags of a quiet file");

    if (failures() > 0)
        return; /* what is awaited below would not come */
    NEED(write(pipe_ends[1], "y", 1));
    siginfo_t info = await_signal("pipe", SIGRTMIN + 3);
    CHECK(info.si_fd == pipe_ends[0] && info.si_code == POLL_IN, "pipe: signal of descriptor %d",
          info.si_fd);
    NEED(write(plain_pipe[1], "y", 1));
    await_signal("plain pipe", SIGIO);
    NEED(write(pair[1], "y", 1));
    none_pending("what goes to the other thread");
    /* The other thread has it blocked, too; it stays pending there. */
    sigset_t pending;
    char path[64], text[4096], value[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", other);
    slurp(path, text, sizeof text);
    status_value(text, "SigPnd", value, sizeof value);
    sigemptyset(&pending);
    CHECK(strtoull(value, NULL, 16) == 1ull << (SIGRTMIN + 4 - 1), "other thread: pending is %s",
          value);
    char bytes[8];
    CHECK(read(pipe_ends[0], bytes, sizeof bytes) == 2, "pipe: content");
}

static void make_leases(void) {
    close((int)NEED(open("read", O_RDWR | O_CREAT, 0600)));
    leased_read = (int)NEED(open("read", O_RDONLY));
    NEED(fcntl(leased_read, F_SETLEASE, F_RDLCK));
    NEED(fcntl(leased_read, F_SETSIG, SIGRTMIN + 5));
    leased_write = (int)NEED(open("write", O_RDWR | O_CREAT, 0600));
    NEED(fcntl(leased_write, F_SETLEASE, F_WRLCK));
}
static void break_lease(const char *path) {
    pid_t child = (pid_t)NEED(fork());
    if (child == 0)
        _exit(open(path, O_RDWR | O_NONBLOCK) == -1 ? errno : 0);
    int status;
    NEED(waitpid(child, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EWOULDBLOCK,
          "%s: opening a file with a lease gives status %d", path, status);
}
static void check_leases(void) {
    CHECK(fcntl(leased_read, F_GETLEASE) == F_RDLCK, "read lease is %d",
          fcntl(leased_read, F_GETLEASE));
    CHECK(fcntl(leased_write, F_GETLEASE) == F_WRLCK, "write lease is %d",
          fcntl(leased_write, F_GETLEASE));
    owner_is("write lease", leased_write, F_OWNER_PID, getpid());
    if (failures() > 0)
        return;
    none_pending("leases");
    break_lease("read");
    siginfo_t info = await_signal("read lease", SIGRTMIN + 5);
    CHECK(info.si_fd == leased_read, "read lease: signal of descriptor %d", info.si_fd);
    NEED(fcntl(leased_read, F_SETLEASE, F_UNLCK));
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigtimedwait(&chld, NULL, &(struct timespec){0});
    break_lease("write");
    await_signal("write lease", SIGIO);
    NEED(fcntl(leased_write, F_SETLEASE, F_UNLCK));
}

int main(void) {
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGCONT);
    NEED(sigprocmask(SIG_BLOCK, &all, NULL));
    NEED(-pthread_create(&thread, NULL, wait_for_thread_signals, NULL));
    while (__atomic_load_n(&other, __ATOMIC_ACQUIRE) == 0)
        ;
    make_signals();
    make_leases();
    if (geteuid() == 0)
        make_numbered();
    none_pending("set-up");
    self_take();
    ready();
    await_go();
    none_pending("thaw");
    self_compare(false);
    check_signals();
    if (geteuid() == 0)
        check_numbered();
    check_leases();
    finish();
}
