/* Descriptors that name processes and threads that have ended, and been waited for. */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREAD = O_EXCL, COUNT = 7 };

/* linux/pidfd.h of Linux 6.16. */
struct pidfd_info_16 {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
    uint32_t coredump_mask, spare;
};
#define GET_INFO _IOWR(0xff, 11, struct pidfd_info_16)
enum { INFO_EXIT = 8, INFO_COREDUMP = 16 };

/* All that a program can ask of such a descriptor. */
struct facts {
    int flags, close_on_exec, events, wait_error, signal_error, asked, exit_code;
    uint64_t told;
    uint32_t dump;
};

static int fds[COUNT], set, fired, pair[2];
static struct facts before[COUNT];
static volatile sig_atomic_t told;

static void on_child(int signal) {
    (void)signal;
    told++;
}

static struct facts facts_of(int fd) {
    struct facts facts = {.flags = fcntl(fd, F_GETFL), .close_on_exec = fcntl(fd, F_GETFD)};
    struct pollfd one = {.fd = fd, .events = POLLIN};
    NEED(poll(&one, 1, 0));
    facts.events = one.revents;
    siginfo_t info;
    facts.wait_error = waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG | __WALL) < 0 ? errno : 0;
    facts.signal_error = syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) < 0 ? errno : 0;
    struct pidfd_info_16 end = {.mask = INFO_EXIT | INFO_COREDUMP};
    facts.asked = ioctl(fd, GET_INFO, &end) < 0 ? errno : 0;
    facts.told = facts.asked ? 0 : end.mask;
    facts.exit_code = end.exit_code;
    facts.dump = end.coredump_mask;
    return facts;
}

static void compare(int i, struct facts now) {
    struct facts was = before[i];
    CHECK(now.flags == was.flags, "%d: flags are %o, not %o", i, now.flags, was.flags);
    CHECK(now.close_on_exec == was.close_on_exec, "%d: FD_CLOEXEC", i);
    CHECK(now.events == was.events, "%d: poll gives %#x, not %#x", i, now.events, was.events);
    CHECK(now.wait_error == was.wait_error, "%d: waitid gives %s", i, strerror(now.wait_error));
    CHECK(now.signal_error == was.signal_error, "%d: a signal gives %s", i,
          strerror(now.signal_error));
    CHECK(now.asked == was.asked && now.told == was.told, "%d: PIDFD_GET_INFO gives %s, mask %#lx",
          i, strerror(now.asked), (unsigned long)now.told);
    CHECK(now.exit_code == was.exit_code, "%d: ended with %#x, not %#x", i, now.exit_code,
          was.exit_code);
    CHECK(now.dump == was.dump, "%d: core dump is %#x, not %#x", i, now.dump, was.dump);
}

/* A child that ends by a signal, or with a status. */
static pid_t start(int signal, int status) {
    pid_t child = (pid_t)NEED(fork());
    if (child > 0)
        return child;
    prctl(PR_SET_DUMPABLE, 0);
    if (signal > 0)
        kill(getpid(), signal);
    _exit(status);
}

static int pidfd_of(pid_t id, int flags) {
    return (int)NEED(syscall(SYS_pidfd_open, id, flags));
}

static int end_of(int signal, int status) {
    pid_t child = start(signal, status);
    int fd = pidfd_of(child, 0);
    NEED(waitpid(child, NULL, 0));
    return fd;
}

static int thread_fd;
static void *end_at_once(void *unused) {
    thread_fd = (int)syscall(SYS_pidfd_open, syscall(SYS_gettid), THREAD);
    return unused;
}

static uint64_t inode_of(int fd) {
    struct stat status;
    NEED(fstat(fd, &status));
    return status.st_ino;
}

static void send_away(int fd) {
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec vector = {"x", 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    NEED(sendmsg(pair[0], &message, 0));
    NEED(close(fd));
}

static int bring_back(void) {
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    int fd = -1;
    if (recvmsg(pair[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    CHECK(fd >= 0, "no descriptor comes from the socket");
    return fd;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_child};
    NEED(sigaction(SIGCHLD, &action, NULL));
    pthread_t thread;
    NEED(-pthread_create(&thread, NULL, end_at_once, NULL));
    NEED(-pthread_join(thread, NULL));
    if (thread_fd < 0)
        leave_out("this kernel has no PIDFD_THREAD");
    /* The library does not wait until the kernel has let go of the thread. */
    struct pollfd end = {.fd = thread_fd, .events = POLLIN};
    while ((end.revents & POLLHUP) == 0)
        NEED(poll(&end, 1, -1));
    fds[0] = thread_fd;

    /* Two that know each other, and a duplicate in a set. */
    pid_t child = start(0, 7);
    fds[1] = pidfd_of(child, 0);
    fds[2] = pidfd_of(child, THREAD | O_NONBLOCK);
    NEED(waitpid(child, NULL, 0));
    NEED(fcntl(fds[2], F_SETFD, 0));
    set = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, fds[1], &event));

    /* One that was told of once, and is not watched any more. */
    fired = (int)NEED(epoll_create1(0));
    event.events = EPOLLIN | EPOLLONESHOT;
    NEED(epoll_ctl(fired, EPOLL_CTL_ADD, fds[2], &event));
    CHECK(epoll_wait(fired, &event, 1, 0) == 1, "the end is not told");

    fds[3] = end_of(SIGTERM, 0);
    fds[4] = end_of(SIGSEGV, 0); /* might dump its memory, but for prctl */
    fds[5] = end_of(SIGRTMIN + 3, 0);
    fds[6] = end_of(SIGKILL, 0);
    for (int i = 0; i < COUNT; i++)
        before[i] = facts_of(fds[i]);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    send_away(fds[6]);
    int told_before = told;
    ready();
    await_go();
    CHECK(told == told_before, "%d more signals of children that ended", told - told_before);
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD, "there is a child");
    fds[6] = bring_back();
    for (int i = 0; i < COUNT; i++)
        compare(i, facts_of(fds[i]));
    CHECK(inode_of(fds[1]) == inode_of(fds[2]), "two of one process differ");
    if (inode_of(fds[1]) != inode_of(pidfd_of(getpid(), 0)))
        for (int i = 3; i < COUNT; i++)
            CHECK(inode_of(fds[i]) != inode_of(fds[i - 1]), "two of two processes are alike");
    CHECK(epoll_wait(fired, &event, 1, 0) == 0, "the end is told a second time");
    CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == 77, "the set has no event");
    finish();
}
