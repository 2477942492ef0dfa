/*
 * A thread in each blocking system call, made raw, so that every errno shows. Those without end
 * must be still blocked at `go` and then give their result; those with a timeout must end when
 * it is over, the frozen time left out. A heartbeat finds out how long the process did not run.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct timespec timespec;
enum { SECOND = 1000000000, TIMEOUT = 6, READY_AFTER = 3 };

static int quiet[2], fed[2], full[2], quiet_set, fed_set, counter, listener, receiver;
static struct sockaddr_in listener_name, receiver_name;
static int futex_word, idle_word;
static sem_t leave;
static sigset_t only_usr2, without_usr1;
static atomic_int handled;
static atomic_llong missed; /* ns in which the process did not run */
static int64_t deadline;
/* By earlier freezes: the clock of a sleep counts from the last interruption. */
static bool interrupted;

static int64_t now(void) {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * (int64_t)SECOND + time.tv_nsec;
}

static void on_signal(int signal) {
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

static timespec seconds(long count) {
    return (timespec){.tv_sec = count};
}

/* The calls; each gives its result, or -errno. */
static long result_of(long result) {
    return result == -1 ? -errno : result;
}
#define CALL(name, expression)                                                                     \
    static long name(void) {                                                                       \
        return result_of(expression);                                                              \
    }
static char bytes[8];
static char block[1 << 16];
static struct epoll_event event;
static struct pollfd polled(int fd) {
    return (struct pollfd){.fd = fd, .events = POLLIN};
}
static fd_set set_of(int fd) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return set;
}

CALL(read_pipe, syscall(SYS_read, fed[0], bytes, 1))
CALL(write_pipe, syscall(SYS_write, full[1], block, 4096))
CALL(read_eventfd, syscall(SYS_read, counter, bytes, 8))
/* Whoever is accepted is closed at once: the number would not be known before. */
CALL(accept_one, syscall(SYS_close, syscall(SYS_accept, listener, NULL, NULL)))
CALL(receive_one, syscall(SYS_recvfrom, receiver, bytes, 1, 0, NULL, NULL))
CALL(poll_forever, syscall(SYS_poll, (struct pollfd[]){polled(fed[0])}, 1, -1))
CALL(ppoll_masked, syscall(SYS_ppoll, (struct pollfd[]){polled(fed[0])}, 1, NULL, &only_usr2, 8))
CALL(select_forever, syscall(SYS_select, fed[0] + 1, (fd_set[]){set_of(fed[0])}, NULL, NULL, NULL))
CALL(epoll_forever, syscall(SYS_epoll_wait, fed_set, &event, 1, -1))
CALL(epoll_masked, syscall(SYS_epoll_pwait, fed_set, &event, 1, -1, &only_usr2, 8))
CALL(futex_forever, syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL))
CALL(pause_forever, syscall(SYS_pause))
CALL(suspend_forever, syscall(SYS_rt_sigsuspend, &without_usr1, 8))
CALL(wait_signal, syscall(SYS_rt_sigtimedwait, &only_usr2, NULL, NULL, 8))

CALL(sleep_timed, syscall(SYS_nanosleep, (timespec[]){seconds(TIMEOUT)}, (timespec[]){seconds(0)}))
CALL(sleep_relative,
     syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (timespec[]){seconds(TIMEOUT)}, NULL))
CALL(sleep_until, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME,
                          (timespec[]){{deadline / SECOND, deadline % SECOND}}, NULL))
CALL(poll_timed, syscall(SYS_poll, (struct pollfd[]){polled(quiet[0])}, 1, TIMEOUT * 1000))
CALL(ppoll_timed, syscall(SYS_ppoll, (struct pollfd[]){polled(quiet[0])}, 1,
                          (timespec[]){seconds(TIMEOUT)}, NULL, 8))
CALL(select_timed, syscall(SYS_select, quiet[0] + 1, (fd_set[]){set_of(quiet[0])}, NULL, NULL,
                           (struct timeval[]){{.tv_sec = TIMEOUT}}))
CALL(pselect_timed, syscall(SYS_pselect6, quiet[0] + 1, (fd_set[]){set_of(quiet[0])}, NULL, NULL,
                            (timespec[]){seconds(TIMEOUT)}, NULL))
CALL(epoll_timed, syscall(SYS_epoll_wait, quiet_set, &event, 1, TIMEOUT * 1000))
CALL(futex_timed,
     syscall(SYS_futex, &idle_word, FUTEX_WAIT_PRIVATE, 0, (timespec[]){seconds(TIMEOUT)}))
CALL(futex_until, syscall(SYS_futex, &idle_word, FUTEX_WAIT_BITSET_PRIVATE, 0,
                          (timespec[]){{deadline / SECOND, deadline % SECOND}}, NULL, 1))
CALL(wait_signal_timed,
     syscall(SYS_rt_sigtimedwait, &only_usr2, NULL, (timespec[]){seconds(TIMEOUT)}, 8))

enum end { FED, SIGNAL, RELATIVE, WHOLE, ABSOLUTE };
static struct row {
    const char *name;
    long (*call)(void);
    enum end end; /* what ends it; WHOLE: as the kernel itself, a timeout may start over */
    long result;
    pthread_t thread;
    atomic_int tid, done;
    long got;
    int64_t from, to, missed_from, missed_to;
} rows[] = {
    {.name = "read of a pipe", .call = read_pipe, .end = FED, .result = 1},
    {.name = "write to a full pipe", .call = write_pipe, .end = FED, .result = 4096},
    {.name = "read of an eventfd", .call = read_eventfd, .end = FED, .result = 8},
    {.name = "accept", .call = accept_one, .end = FED, .result = 0},
    {.name = "recvfrom", .call = receive_one, .end = FED, .result = 1},
    {.name = "poll", .call = poll_forever, .end = FED, .result = 1},
    {.name = "ppoll with a mask", .call = ppoll_masked, .end = FED, .result = 1},
    {.name = "select", .call = select_forever, .end = FED, .result = 1},
    {.name = "epoll_wait", .call = epoll_forever, .end = FED, .result = 1},
    {.name = "epoll_pwait", .call = epoll_masked, .end = FED, .result = 1},
    {.name = "futex", .call = futex_forever, .end = FED, .result = 0},
    {.name = "pause", .call = pause_forever, .end = SIGNAL, .result = -EINTR},
    {.name = "sigsuspend", .call = suspend_forever, .end = SIGNAL, .result = -EINTR},
    {.name = "sigtimedwait", .call = wait_signal, .end = SIGNAL, .result = SIGUSR2},
    {.name = "nanosleep", .call = sleep_timed, .end = RELATIVE, .result = 0},
    {.name = "clock_nanosleep", .call = sleep_relative, .end = RELATIVE, .result = 0},
    {.name = "clock_nanosleep until", .call = sleep_until, .end = ABSOLUTE, .result = 0},
    {.name = "poll with timeout", .call = poll_timed, .end = RELATIVE, .result = 0},
    {.name = "ppoll with timeout", .call = ppoll_timed, .end = RELATIVE, .result = 0},
    {.name = "select with timeout", .call = select_timed, .end = RELATIVE, .result = 0},
    {.name = "pselect with timeout", .call = pselect_timed, .end = RELATIVE, .result = 0},
    {.name = "epoll_wait with timeout", .call = epoll_timed, .end = WHOLE, .result = 0},
    {.name = "futex with timeout", .call = futex_timed, .end = RELATIVE, .result = -ETIMEDOUT},
    {.name = "futex until", .call = futex_until, .end = ABSOLUTE, .result = -ETIMEDOUT},
    {.name = "sigtimedwait with timeout",
     .call = wait_signal_timed,
     .end = WHOLE,
     .result = -EAGAIN},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void *block_in(void *argument) {
    struct row *row = argument;
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    /* Those that wait for SIGUSR2 have it blocked; the others could take it in a handler. */
    if (row->call == wait_signal || row->call == wait_signal_timed || row->call == ppoll_masked ||
        row->call == epoll_masked)
        sigaddset(&mask, SIGUSR2);
    NEED(-pthread_sigmask(SIG_SETMASK, &mask, NULL));
    row->missed_from = missed;
    row->from = now();
    row->tid = (int)syscall(SYS_gettid);
    row->got = row->call();
    row->to = now();
    row->missed_to = missed;
    sigset_t after;
    NEED(-pthread_sigmask(SIG_SETMASK, NULL, &after));
    CHECK(memcmp(&mask, &after, 8) == 0, "%s: the signal mask is another afterwards", row->name);
    row->done = 1;
    /* Stay: the number of threads is compared. */
    while (sem_wait(&leave) != 0) {
    }
    return NULL;
}

/* Looks every 10 ms; what takes more than 200 ms was no scheduling. Sleeps by itself, no timer. */
static void *beat(void *unused) {
    for (int64_t last = now();;) {
        struct timespec pause = {.tv_nsec = 10000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause) == EINTR) {
        }
        int64_t time = now();
        if (time - last > SECOND / 5)
            atomic_fetch_add(&missed, time - last);
        last = time;
    }
    return unused;
}

static void until_blocked(int tid) {
    char path[64], text[256];
    do {
        snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
        slurp(path, text, sizeof text);
        sched_yield();
    } while (strncmp(text, "running", 7) == 0);
}

static void check(struct row *row) {
    CHECK(row->got == row->result, "%s gives %ld, not %ld", row->name, row->got, row->result);
    if (row->end == ABSOLUTE)
        CHECK(row->to >= deadline, "%s: ended before its deadline", row->name);
    if (row->end != RELATIVE && row->end != WHOLE)
        return;
    /* Ended at once would be 3 s, started over at least 9 s. */
    double active = (double)(row->to - row->from - (row->missed_to - row->missed_from)) / SECOND;
    double most = row->end == RELATIVE && !interrupted ? TIMEOUT + 2 : 2 * TIMEOUT;
    CHECK(active > TIMEOUT - 2 && active < most,
          "%s of %d s took %.2f s of the time that the process ran", row->name, TIMEOUT, active);
}

/* A socket at 127.0.0.1, with a port of the kernel's choice. */
static int bound(int type, struct sockaddr_in *name) {
    int fd = (int)NEED(socket(AF_INET, type, 0));
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* Where the frozen process works to its end first, its connection keeps the port for a minute.
     */
    NEED(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
    NEED(bind(fd, (struct sockaddr *)name, sizeof *name));
    NEED(getsockname(fd, (struct sockaddr *)name, &(socklen_t){sizeof *name}));
    return fd;
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = on_signal};
    NEED(sigaction(SIGUSR1, &action, NULL));
    NEED(sigaction(SIGUSR2, &action, NULL));
    sem_init(&leave, 0, 0);
    sigemptyset(&only_usr2);
    sigaddset(&only_usr2, SIGUSR2);
    sigemptyset(&without_usr1);
    NEED(pipe(quiet));
    NEED(pipe(fed));
    NEED(pipe2(full, O_NONBLOCK));
    while (write(full[1], block, sizeof block) > 0) {
    }
    NEED(fcntl(full[1], F_SETFL, 0));
    counter = (int)NEED(eventfd(0, 0));
    listener = bound(SOCK_STREAM, &listener_name);
    NEED(listen(listener, 1));
    receiver = bound(SOCK_DGRAM, &receiver_name);
    quiet_set = (int)NEED(epoll_create1(0));
    fed_set = (int)NEED(epoll_create1(0));
    event = (struct epoll_event){.events = EPOLLIN};
    NEED(epoll_ctl(quiet_set, EPOLL_CTL_ADD, quiet[0], &event));
    NEED(epoll_ctl(fed_set, EPOLL_CTL_ADD, fed[0], &event));
    deadline = now() + TIMEOUT * (int64_t)SECOND;
    pthread_t heart;
    NEED(-pthread_create(&heart, NULL, beat, NULL));
    for (int i = 0; i < ROWS; i++)
        NEED(-pthread_create(&rows[i].thread, NULL, block_in, &rows[i]));
    for (int i = 0; i < ROWS; i++) {
        while (rows[i].tid == 0)
            sched_yield();
        until_blocked(rows[i].tid);
    }
    /* How long to wait before it is frozen. */
    interrupted = argc > 1;
    int ready_after = argc > 1 ? atoi(argv[1]) : READY_AFTER;
    for (timespec wait = seconds(ready_after); nanosleep(&wait, &wait) != 0;) {
    }
    self_take();
    ready();
    await_go();
    self_compare(false);
    for (int i = 0; i < ROWS; i++)
        CHECK(rows[i].end == RELATIVE || rows[i].end == WHOLE || rows[i].end == ABSOLUTE ||
                  !rows[i].done,
              "%s ended too early, with %ld", rows[i].name, rows[i].got);
    CHECK(handled == 0, "a signal out of nothing");
    /* One byte wakes all that wait; the reader of the pipe may take it before the others look. */
    NEED(write(fed[1], "xxxxxxxx", 8));
    NEED(write(counter, (uint64_t[]){1}, 8));
    NEED(read(full[0], block, sizeof block));
    int client = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    NEED(connect(client, (struct sockaddr *)&listener_name, sizeof listener_name));
    NEED(sendto(receiver, "x", 1, 0, (struct sockaddr *)&receiver_name, sizeof receiver_name));
    __atomic_store_n(&futex_word, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < ROWS; i++) {
        if (rows[i].call == futex_forever)
            while (!rows[i].done)
                syscall(SYS_futex, &futex_word, FUTEX_WAKE_PRIVATE, 0x7fffffff);
        if (rows[i].end == SIGNAL)
            pthread_kill(rows[i].thread, rows[i].call == suspend_forever ? SIGUSR1 : SIGUSR2);
    }
    for (int i = 0; i < ROWS; i++)
        sem_post(&leave);
    for (int i = 0; i < ROWS; i++) {
        NEED(-pthread_join(rows[i].thread, NULL));
        check(&rows[i]);
    }
    CHECK(handled == 2, "%d of 2 handlers ran", handled);
    finish();
}
