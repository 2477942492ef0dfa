/*
 * Timers and signals behind descriptors: time left, deadlines, intervals, ticks that were not read,
 * masks. Checked through timerfd_gettime, read and /proc/self/fdinfo.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LONG = 100000, MARGIN = 300, FAST_NS = 3000000 };

static struct itimerspec spec(long seconds, long nanoseconds, long interval) {
    return (struct itimerspec){.it_value = {seconds, nanoseconds}, .it_interval = {0, interval}};
}
static struct timespec in(clockid_t clock, long seconds) {
    struct timespec now;
    NEED(clock_gettime(clock, &now));
    now.tv_sec += seconds;
    return now;
}
static int make(clockid_t clock, int flags, int settime, struct itimerspec value) {
    int fd = (int)NEED(timerfd_create(clock, flags));
    NEED(timerfd_settime(fd, settime, &value, NULL));
    return fd;
}
static void until_ready(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    NEED(poll(&one, 1, -1));
}
static uint64_t ticks(int fd) {
    uint64_t count = 0;
    return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}
static int settime_flags(int fd) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    slurp(path, text, sizeof text);
    const char *line = strstr(text, "settime flags: ");
    int flags = -1;
    return line != NULL && sscanf(line, "settime flags: %o", (unsigned *)&flags) == 1 ? flags : -1;
}
/* In nanoseconds, since deadlines are no rounder than that. */
static int64_t nanoseconds(struct timespec time) {
    return time.tv_sec * 1000000000 + time.tv_nsec;
}
static void is_left(const char *what, int fd, long seconds, long interval) {
    struct itimerspec value;
    NEED(timerfd_gettime(fd, &value));
    CHECK(value.it_value.tv_sec <= seconds && value.it_value.tv_sec >= seconds - MARGIN,
          "%s: %ld s left of %ld", what, value.it_value.tv_sec, seconds);
    CHECK(value.it_interval.tv_nsec == interval, "%s: interval is %ld", what,
          value.it_interval.tv_nsec);
}
/* The deadline, seen through clock and time left: to what lies between looking at the one and the
 * other. */
static void is_due(const char *what, int fd, clockid_t clock, struct timespec wanted) {
    struct itimerspec value;
    int64_t off = 0;
    for (int attempt = 0; attempt < 100; attempt++) {
        NEED(timerfd_gettime(fd, &value));
        off = nanoseconds(in(clock, 0)) + nanoseconds(value.it_value) - nanoseconds(wanted);
        if (off > -10000 && off < 10000000)
            return;
    }
    fail("%s: the deadline has moved by %ld ns", what, (long)off);
}

static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
static int relative[3], absolute[3], fired, fired_absolute, idle, never, resting, missed, cancel;
static struct timespec deadline[3], due;
static void make_timers(void) {
    for (int i = 0; i < 3; i++) {
        relative[i] = make(clocks[i], TFD_NONBLOCK, 0, spec(LONG + i, 0, 1000 * (i + 1)));
        deadline[i] = in(clocks[i], LONG + i);
        absolute[i] = make(clocks[i], TFD_CLOEXEC, TFD_TIMER_ABSTIME,
                           (struct itimerspec){.it_value = deadline[i]});
    }
    fired = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, spec(0, 1, 0));
    fired_absolute = make(CLOCK_REALTIME, TFD_NONBLOCK, TFD_TIMER_ABSTIME, spec(1, 0, 0));
    idle = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, spec(0, 0, 0));
    never = (int)NEED(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK));
    /* Due a while ago: it has fired, and was not asked since. */
    resting = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, spec(0, 1, FAST_NS));
    due = in(CLOCK_MONOTONIC, -100);
    missed = make(CLOCK_MONOTONIC, TFD_NONBLOCK, TFD_TIMER_ABSTIME,
                  (struct itimerspec){.it_value = due, .it_interval = {0, 500000000}});
    deadline[0] = in(CLOCK_REALTIME, LONG);
    cancel = make(CLOCK_REALTIME, TFD_NONBLOCK, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                  (struct itimerspec){.it_value = deadline[0]});
    NEED(timerfd_settime(absolute[0], TFD_TIMER_ABSTIME,
                         &(struct itimerspec){.it_value = deadline[0]}, NULL));
    until_ready(fired);
    until_ready(fired_absolute);
    until_ready(resting);
    until_ready(missed);
}
static void check_timers(void) {
    static const char *const names[] = {"realtime", "monotonic", "boottime"};
    for (int i = 0; i < 3; i++) {
        is_left(names[i], relative[i], LONG + i, 1000 * (i + 1));
        CHECK(settime_flags(relative[i]) == 0, "%s: flags of a relative timer", names[i]);
        is_due(names[i], absolute[i], clocks[i], deadline[i]);
        CHECK(settime_flags(absolute[i]) == TFD_TIMER_ABSTIME, "%s: flags", names[i]);
    }
    is_due("cancelled when the clock is set", cancel, CLOCK_REALTIME, deadline[0]);
    CHECK(settime_flags(cancel) == (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET),
          "flags of a timer that is cancelled when the clock is set");
    CHECK(ticks(fired) == 1 && ticks(fired) == 0, "a timer that had fired");
    CHECK(ticks(fired_absolute) == 1, "an absolute timer that had fired");
    CHECK(settime_flags(fired_absolute) == TFD_TIMER_ABSTIME, "flags of one that had fired");
    is_left("fired", fired, 0, 0);
    is_left("idle", idle, 0, 0);
    is_left("never started", never, 0, 0);
    CHECK(ticks(idle) == 0 && ticks(never) == 0, "an idle timer has ticks");
    CHECK(settime_flags(resting) == 0, "flags of a resting timer");
    CHECK(ticks(resting) >= 1, "ticks are lost");
    until_ready(resting);
    CHECK(ticks(resting) >= 1, "a resting timer does not tick on");
    /* Ticks of an absolute timer follow from the clock: those before the freeze and those since. */
    uint64_t before =
        (uint64_t)((nanoseconds(in(CLOCK_MONOTONIC, 0)) - nanoseconds(due)) / 500000000);
    uint64_t count = ticks(missed);
    uint64_t after =
        (uint64_t)((nanoseconds(in(CLOCK_MONOTONIC, 0)) - nanoseconds(due)) / 500000000);
    CHECK(count > before && count <= after + 1, "%lu ticks, not %lu to %lu", count, before + 1,
          after + 1);
}

static int signals, narrow, set, watched;
static void make_signals(void) {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGRTMAX);
    NEED(sigprocmask(SIG_BLOCK, &mask, NULL));
    signals = (int)NEED(signalfd(-1, &mask, SFD_NONBLOCK));
    sigdelset(&mask, SIGUSR1);
    narrow = (int)NEED(signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
    set = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, narrow, &event));
    event.data.u64 = 2;
    watched = make(CLOCK_MONOTONIC, TFD_NONBLOCK, 0, spec(0, 1, 0));
    until_ready(watched);
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, watched, &event));
    NEED(kill(getpid(), SIGUSR1));
}
static void check_signals(void) {
    struct signalfd_siginfo info = {0};
    struct epoll_event event = {0};
    CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == 2, "epoll: no timer that fired");
    CHECK(read(narrow, &info, sizeof info) == -1 && errno == EAGAIN, "narrow signalfd is ready");
    CHECK(read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1 &&
              info.ssi_code == SI_USER,
          "signalfd gives signal %u, code %d", info.ssi_signo, info.ssi_code);
    NEED(sigqueue(getpid(), SIGRTMAX, (union sigval){.sival_int = 42}));
    CHECK(ticks(watched) == 1, "a watched timer that had fired");
    CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == 1, "epoll: no signal");
    CHECK(read(narrow, &info, sizeof info) == sizeof info && info.ssi_int == 42,
          "signalfd gives value %d", info.ssi_int);
}

int main(void) {
    make_timers();
    make_signals();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_signals();
    check_timers();
    finish();
}
