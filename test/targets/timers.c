/*
 * Interval timers and POSIX timers: values and intervals stay, ids stay (with gaps between them),
 * those that tick, tick on.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { LONG = 100000, TICK_NS = 20000000 };

static atomic_int alarms, ticks, aimed;
static atomic_int aimed_at;

static void on_alarm(int signal) {
    (void)signal;
    atomic_fetch_add(&alarms, 1);
}
static int tick_id;
static void on_tick(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    CHECK(info->si_code == SI_TIMER && info->si_value.sival_int == 4711, "tick: code %d, value %d",
          info->si_code, info->si_value.sival_int);
    CHECK(info->si_timerid == tick_id, "tick: timer %d, not %d", info->si_timerid, tick_id);
    atomic_fetch_add(&ticks, 1);
}
static void on_aimed(int signal) {
    (void)signal;
    CHECK((pid_t)syscall(SYS_gettid) == aimed_at, "a timer's signal went to another thread");
    atomic_fetch_add(&aimed, 1);
}

/* The kernel's own calls: the C library wraps its ids. */
static int create(clockid_t clock, int notify, int signal, int value, pid_t tid) {
    struct sigevent event = {
        .sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_int = value};
    int id = -1;
    event._sigev_un._tid = tid;
    NEED(syscall(SYS_timer_create, clock, &event, &id));
    return id;
}

static void arm(int id, long seconds, long nanoseconds, long interval) {
    struct itimerspec value = {.it_value = {seconds, nanoseconds}, .it_interval = {0, interval}};
    NEED(syscall(SYS_timer_settime, id, 0, &value, NULL));
}

static void check_timer(const char *what, int id, long from, long interval) {
    struct itimerspec value;
    if (syscall(SYS_timer_gettime, id, &value) != 0) {
        fail("%s timer %d: %s", what, id, strerror(errno));
        return;
    }
    CHECK(value.it_value.tv_sec <= from && value.it_value.tv_sec >= from - 300,
          "%s timer %d: %ld s left of %ld", what, id, value.it_value.tv_sec, from);
    CHECK(value.it_interval.tv_nsec == interval, "%s timer %d: interval %ld", what, id,
          value.it_interval.tv_nsec);
}

static void check_interval_timer(const char *what, int which, long seconds, long interval) {
    struct itimerval value;
    NEED(getitimer(which, &value));
    CHECK(value.it_value.tv_sec <= seconds && value.it_value.tv_sec >= seconds - 300 &&
              value.it_interval.tv_usec == interval,
          "%s: %ld s left of %ld, interval %ld", what, value.it_value.tv_sec, seconds,
          value.it_interval.tv_usec);
}

/* The entries of /proc/self/timers, in whatever order. */
static void compare_tables(const char *was, const char *is) {
    CHECK(strlen(was) == strlen(is), "/proc/self/timers: %zu bytes were %zu", strlen(is),
          strlen(was));
    for (const char *entry = was; entry != NULL && *entry != 0;) {
        const char *next = strstr(entry + 1, "ID: ");
        /* ClockID ends an entry, too. */
        while (next != NULL && next[-1] != '\n')
            next = strstr(next + 1, "ID: ");
        size_t length = next == NULL ? strlen(entry) : (size_t)(next - entry);
        CHECK(memmem(is, strlen(is), entry, length) != NULL, "/proc/self/timers lacks: %.*s",
              (int)length, entry);
        entry = next;
    }
}

static atomic_int leave;
static void *take_aimed(void *unused) {
    aimed_at = (pid_t)syscall(SYS_gettid);
    sigset_t none;
    sigemptyset(&none);
    NEED(-pthread_sigmask(SIG_SETMASK, &none, NULL));
    while (!leave)
        sched_yield();
    return unused;
}

/* Its timer goes on, and tells nobody. */
static void *leave_timer(void *id) {
    *(int *)id =
        create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, 17, (pid_t)syscall(SYS_gettid));
    return NULL;
}

int main(int argc, char **argv) {
    bool ticking = argc > 1 && strcmp(argv[1], "ticking") == 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    NEED(-pthread_sigmask(SIG_BLOCK, &set, NULL));
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    NEED(sigaction(SIGALRM, &action, NULL));
    action.sa_handler = on_aimed;
    NEED(sigaction(SIGRTMIN + 1, &action, NULL));
    struct sigaction detailed = {.sa_sigaction = on_tick, .sa_flags = SA_RESTART | SA_SIGINFO};
    NEED(sigaction(SIGRTMIN, &detailed, NULL));
    pthread_t thread;
    NEED(-pthread_create(&thread, NULL, take_aimed, NULL));
    while (aimed_at == 0)
        sched_yield();

    int dropped[3], kept[7];
    dropped[0] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
    kept[0] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 4711, 0);
    dropped[1] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
    dropped[2] = create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN, 0, 0);
    kept[1] = create(CLOCK_REALTIME, SIGEV_NONE, 0, 0, 0);
    kept[2] = create(CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGRTMIN + 3, 12, 0);
    kept[3] = create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, 13, aimed_at);
    kept[4] = create(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 3, 14, 0);
    kept[5] = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 3, 15, 0);
    kept[6] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 16, 0);
    for (int i = 0; i < 3; i++)
        NEED(syscall(SYS_timer_delete, dropped[i]));
    tick_id = kept[0];
    int orphan = -1;
    if (ticking) { /* /proc/self/timers names its thread before, and none after */
        pthread_t ended;
        NEED(-pthread_create(&ended, NULL, leave_timer, &orphan));
        NEED(-pthread_join(ended, NULL));
        arm(orphan, LONG, 0, 12345);
    }
    for (int i = 1; i < 6; i++)
        arm(kept[i], LONG + i, 0, 1000 * i);
    struct itimerval value = {.it_value.tv_sec = LONG, .it_interval.tv_usec = 777000};
    NEED(setitimer(ITIMER_VIRTUAL, &value, NULL));
    value.it_value.tv_sec++;
    NEED(setitimer(ITIMER_PROF, &value, NULL));
    value.it_value.tv_sec++;
    if (ticking) {
        arm(kept[0], 0, TICK_NS, TICK_NS);
        value = (struct itimerval){.it_value.tv_usec = 30000, .it_interval.tv_usec = 30000};
    }
    NEED(setitimer(ITIMER_REAL, &value, NULL));
    while (ticking && (alarms < 2 || ticks < 2))
        sched_yield();
    static char table[4096], after[4096];
    slurp("/proc/self/timers", table, sizeof table);
    self_take();
    ready();
    await_go();
    if (ticking) {
        int alarms_before = alarms, ticks_before = ticks;
        while (alarms < alarms_before + 3 || ticks < ticks_before + 3)
            sched_yield();
        check_timer("a thread's that has ended", orphan, LONG, 12345);
        finish();
    }
    self_compare(false);
    slurp("/proc/self/timers", after, sizeof after);
    compare_tables(table, after);
    check_interval_timer("ITIMER_VIRTUAL", ITIMER_VIRTUAL, LONG, 777000);
    check_interval_timer("ITIMER_PROF", ITIMER_PROF, LONG + 1, 777000);
    check_interval_timer("ITIMER_REAL", ITIMER_REAL, LONG + 2, 777000);
    static const char *const names[] = {0, "silent", "boottime", "aimed", "thread", "process"};
    for (int i = 1; i < 6; i++)
        check_timer(names[i], kept[i], LONG + i, 1000 * i);
    check_timer("disarmed", kept[6], 0, 0);
    for (int i = 0; i < 3; i++)
        CHECK(syscall(SYS_timer_gettime, dropped[i], &(struct itimerspec){0}) == -1,
              "timer %d is back", dropped[i]);
    arm(kept[0], 0, 1, 0);
    arm(kept[3], 0, 1, 0);
    while (ticks < 1 || aimed < 1)
        sched_yield();
    leave = 1;
    NEED(-pthread_join(thread, NULL));
    finish();
}
