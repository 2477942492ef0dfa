/*
 * For the promise that the tool never harms its target: threads that check themselves without
 * pause while the tool is killed under them. Register files are live in loops; blocking calls
 * that nothing may end; sleeps that must take their time; a ticking timer. In the end the
 * address space and the descriptors must be those of the beginning.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/live.h"
#include "support/self.h"

#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 1 << 20, ROUNDS = 20000 };

static atomic_bool stop;
static int quiet[2], quiet_set;
static sigset_t usr2;
static atomic_int alarms, calls;
static sem_t leave;

static void on_alarm(int signal) {
    (void)signal;
    atomic_fetch_add(&alarms, 1);
}

static struct live general, sse, avx512;
static bool has_avx512(void) {
    unsigned a, b, c, d;
    __cpuid_count(7, 0, a, b, c, d);
    return (b & bit_AVX512F) && (b & bit_AVX512BW) && __builtin_cpu_supports("avx512f");
}

static void check_live(const char *what, const struct live *live, size_t from, size_t size) {
    if (memcmp(live->in + from, live->out + from, size) != 0)
        fail("%s registers changed", what);
}

static void *run_general(void *unused) {
    char *pages = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED((intptr_t)pages);
    NEED(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE));
    fill(general.in, 112, 1);
    fill(pages + PAGE, 128, 2);
    while (!stop && failures() == 0) {
        general.stack = (uint64_t)pages + PAGE + 128;
        general.rounds = ROUNDS;
        live_general(&general);
        check_live("general", &general, 0, 112);
        verify("red zone", pages + PAGE, 128, 2);
    }
    return unused;
}
static void *run_vectors(void *unused) {
    bool wide = has_avx512();
    uint32_t control = 0x7fa2;
    memcpy(sse.in, &control, 4);
    fill(sse.in + 64, 256, 3);
    fill(avx512.in, 2112, 4);
    while (!stop && failures() == 0) {
        sse.rounds = avx512.rounds = ROUNDS;
        live_sse(&sse);
        check_live("SSE", &sse, 64, 256);
        if (wide) {
            live_avx512(&avx512);
            check_live("AVX-512", &avx512, 0, 2112);
        }
    }
    return unused;
}

/* System calls in quick succession, each with a result that is known. */
static void *run_calls(void *unused) {
    int ends[2];
    NEED(pipe(ends));
    pid_t pid = getpid(), tid = (pid_t)syscall(SYS_gettid);
    for (unsigned number = 0; !stop && failures() == 0; number++) {
        unsigned back = ~number;
        CHECK(syscall(SYS_write, ends[1], &number, sizeof number) == sizeof number,
              "write: errno %d", errno);
        CHECK(syscall(SYS_read, ends[0], &back, sizeof back) == sizeof back, "read: errno %d",
              errno);
        CHECK(back == number, "a pipe gives %u for %u", back, number);
        CHECK(syscall(SYS_getpid) == pid && syscall(SYS_gettid) == tid, "ids");
        struct timespec from, to, nap = {.tv_nsec = 1000000};
        clock_gettime(CLOCK_MONOTONIC, &from);
        long result = syscall(SYS_nanosleep, &nap, NULL);
        clock_gettime(CLOCK_MONOTONIC, &to);
        calls++;
        CHECK(result == 0, "nanosleep: errno %d", errno);
        CHECK((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec >= 1000000,
              "nanosleep too short");
    }
    return unused;
}

static void *run_memory(void *unused) {
    static unsigned char memory[SIZE];
    for (uint64_t seed = 1; !stop && failures() == 0; seed++) {
        fill(memory, SIZE, seed);
        verify("memory", memory, SIZE, seed);
    }
    return unused;
}

static void forever(const char *what, long result) {
    if (!stop)
        fail("%s returned %ld, errno %d", what, result, errno);
    while (sem_wait(&leave) != 0)
        fail("sem_wait: errno %d", errno);
}
static void *wait_epoll(void *unused) {
    struct epoll_event event;
    forever("epoll_wait", syscall(SYS_epoll_wait, quiet_set, &event, 1, -1));
    return unused;
}
static void *wait_poll(void *unused) {
    struct pollfd poll = {.fd = quiet[0], .events = POLLIN};
    forever("poll", syscall(SYS_poll, &poll, 1, 3600000));
    return unused;
}
static void *wait_signal(void *unused) {
    struct timespec hour = {.tv_sec = 3600};
    forever("sigtimedwait", syscall(SYS_rt_sigtimedwait, &usr2, NULL, &hour, 8));
    return unused;
}

static int count_entries(const char *path) {
    DIR *directory = opendir(path);
    int count = 0;
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    if (directory != NULL)
        closedir(directory);
    return count;
}

int main(void) {
    static void *(*const bodies[])(void *) = {run_general, run_vectors, run_calls,  run_memory,
                                              wait_epoll,  wait_poll,   wait_signal};
    enum { THREADS = sizeof bodies / sizeof *bodies };
    pthread_t threads[THREADS];
    sem_init(&leave, 0, 0);
    NEED(pipe(quiet));
    quiet_set = (int)NEED(epoll_create1(0));
    NEED(epoll_ctl(quiet_set, EPOLL_CTL_ADD, quiet[0], &(struct epoll_event){.events = EPOLLIN}));
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    NEED(-pthread_sigmask(SIG_BLOCK, &usr2, NULL));
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigaddset(&alarm_only, SIGUSR2);
    NEED(-pthread_sigmask(SIG_SETMASK, &alarm_only, NULL));
    for (int i = 0; i < THREADS; i++)
        NEED(-pthread_create(&threads[i], NULL, bodies[i], NULL));
    NEED(-pthread_sigmask(SIG_SETMASK, &usr2, NULL));
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    NEED(sigaction(SIGALRM, &action, NULL));
    struct itimerval tick = {{0, 50000}, {0, 50000}};
    NEED(setitimer(ITIMER_REAL, &tick, NULL));
    while (alarms < 3 || calls == 0 || general.progress < ROUNDS || sse.progress < ROUNDS)
        sched_yield();
    int descriptors = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
    self_take();
    ready();
    await_go();
    int before = alarms;
    while (alarms < before + 3)
        sched_yield();
    self_compare(true);
    CHECK(count_entries("/proc/self/fd") == descriptors, "%d descriptors more",
          count_entries("/proc/self/fd") - descriptors);
    CHECK(count_entries("/proc/self/task") == tasks, "%d threads more",
          count_entries("/proc/self/task") - tasks);
    stop = true;
    NEED(write(quiet[1], "x", 1));
    NEED(-pthread_kill(threads[6], SIGUSR2));
    for (int i = 0; i < 3; i++)
        sem_post(&leave);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "join");
    finish();
}
