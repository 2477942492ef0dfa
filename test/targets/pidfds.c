/* Descriptors that name the process itself and its threads, under whatever ids. */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREAD = O_EXCL };

static int process, twin, leader, other, watched, set;
static pid_t other_id;
static volatile sig_atomic_t told;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void on_signal(int signal) {
    (void)signal;
    told++;
}

static void *wait_for_mutex(void *unused) {
    __atomic_store_n(&other_id, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    NEED(-pthread_mutex_lock(&held));
    __atomic_store_n(&other_id, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    return unused;
}

static int named(int fd) {
    char path[64], text[1024], value[32];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    slurp(path, text, sizeof text);
    status_value(text, "Pid", value, sizeof value);
    return atoi(value);
}

static void is_flagged(const char *what, int fd, int flags, int close_on_exec) {
    int is = fcntl(fd, F_GETFL) & (O_NONBLOCK | THREAD);
    CHECK(is == flags, "%s: flags are %o, not %o", what, is, flags);
    CHECK(fcntl(fd, F_GETFD) == close_on_exec, "%s: FD_CLOEXEC", what);
}

static bool is_ready(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1;
}

int main(void) {
    pthread_t thread;
    NEED(-pthread_mutex_lock(&held));
    NEED(-pthread_create(&thread, NULL, wait_for_mutex, NULL));
    while (__atomic_load_n(&other_id, __ATOMIC_SEQ_CST) == 0)
        ;
    struct sigaction action = {.sa_handler = on_signal};
    NEED(sigaction(SIGUSR1, &action, NULL));
    process = (int)NEED(syscall(SYS_pidfd_open, getpid(), O_NONBLOCK));
    twin = (int)NEED(dup(process));
    leader = (int)syscall(SYS_pidfd_open, getpid(), THREAD);
    if (leader < 0 && errno == EINVAL)
        leave_out("this kernel has no PIDFD_THREAD");
    other = (int)NEED(syscall(SYS_pidfd_open, other_id, THREAD | O_NONBLOCK));
    NEED(fcntl(other, F_SETFD, 0));
    watched = (int)NEED(dup(other));
    set = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, twin, &event));
    self_take();
    ready();
    await_go();
    self_compare(false);
    is_flagged("process", process, O_NONBLOCK, FD_CLOEXEC);
    is_flagged("duplicate", twin, O_NONBLOCK, 0);
    is_flagged("first thread", leader, THREAD, FD_CLOEXEC);
    is_flagged("other thread", other, THREAD | O_NONBLOCK, 0);
    int self = (int)syscall(SYS_getpid);
    CHECK(named(process) == self, "process: refers to %d", named(process));
    CHECK(named(leader) == self, "first thread: refers to %d", named(leader));
    CHECK(syscall(SYS_pidfd_send_signal, twin, SIGUSR1, NULL, 0) == 0 && told == 1,
          "a signal through the descriptor does not arrive");
    CHECK(epoll_wait(set, &event, 1, 0) == 0 && !is_ready(other), "ready before its end");
    int named_before = named(other);
    NEED(fcntl(twin, F_SETFL, 0));
    CHECK(!(fcntl(process, F_GETFL) & O_NONBLOCK), "the duplicate is none");
    NEED(-pthread_mutex_unlock(&held));
    NEED(-pthread_join(thread, NULL));
    CHECK(named_before == other_id, "other thread: refers to %d, not %d", named_before, other_id);
    struct pollfd end = {.fd = watched, .events = POLLIN};
    NEED(poll(&end, 1, -1));
    CHECK(named(other) == -1, "other thread: refers to %d after its end", named(other));
    finish();
}
