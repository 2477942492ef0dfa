/*
 * Threads that notice whatever is done to them: registers, memory, results and timing of system
 * calls, signals, mappings. Prints "ready", runs until SIGTERM, prints "ok"; or "FAIL why" at once.
 * With an argument it leaves out epoll_wait(2), which every stop ends with EINTR.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_int ending;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long turns;

static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("FAIL ");
    vprintf(format, args);
    printf(" (errno %d)\n", errno);
    fflush(stdout);
    _exit(1);
}

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* Keeps values in every general register and in 16 vector registers for many instructions. */
static void *registers(void *unused) {
    (void)unused;
    while (!ending) {
        uint64_t sum;
        register uint64_t flags __asm__("r15");
        uint16_t x87;
        __asm__ volatile("mov $1, %%rbx\n mov $2, %%rcx\n mov $3, %%rdx\n mov $4, %%rsi\n"
                         "mov $5, %%rdi\n mov $6, %%r8\n mov $7, %%r9\n mov $8, %%r10\n"
                         "mov $9, %%r11\n mov $10, %%r12\n mov $11, %%r13\n mov $12, %%r14\n"
                         "movq %%rbx, %%xmm0\n movq %%rcx, %%xmm7\n movq %%r14, %%xmm15\n"
                         "fld1\n std\n"
                         "mov $300000, %%eax\n"
                         "1: dec %%eax\n jnz 1b\n"
                         "pushfq\n pop %%r15\n cld\n"
                         "lea (%%rbx,%%rcx), %%rax\n add %%rdx, %%rax\n add %%rsi, %%rax\n"
                         "add %%rdi, %%rax\n add %%r8, %%rax\n add %%r9, %%rax\n"
                         "add %%r10, %%rax\n add %%r11, %%rax\n add %%r12, %%rax\n"
                         "add %%r13, %%rax\n add %%r14, %%rax\n"
                         "movq %%xmm0, %%rbx\n add %%rbx, %%rax\n movq %%xmm7, %%rbx\n"
                         "add %%rbx, %%rax\n movq %%xmm15, %%rbx\n add %%rbx, %%rax\n"
                         : "=&a"(sum), "=&r"(flags)
                         :
                         : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
                           "r13", "r14", "xmm0", "xmm7", "xmm15", "cc", "memory");
        __asm__ volatile("fnstsw %0\n fstp %%st(0)" : "=a"(x87));
        uint64_t bad = !(flags & 0x400) || (x87 >> 11 & 7) != 7; /* direction flag; one value */
        if (sum != 78 + 15 || bad)
            fail("registers: %lu %lu", sum, bad);
        usleep(500);
    }
    return NULL;
}

static void *sleeps(void *unused) {
    (void)unused;
    for (int i = 0; !ending; i++) {
        struct timespec t = {.tv_nsec = 1000000 + i % 20 * 1000000};
        int64_t start = now_us();
        if (nanosleep(&t, NULL))
            fail("nanosleep");
        if (now_us() - start < t.tv_nsec / 1000)
            fail("nanosleep came back after %ld us", (long)(now_us() - start));
    }
    return NULL;
}

static bool with_epoll = true;

static void *polls(void *unused) {
    (void)unused;
    int epoll = epoll_create1(0);
    struct epoll_event event;
    while (!ending) {
        if (with_epoll && epoll_wait(epoll, &event, 1, 7) != 0)
            fail("epoll_wait");
        if (poll(NULL, 0, 5) != 0)
            fail("poll");
    }
    return NULL;
}

/* Two threads throw a byte to and fro, each counting. */
static int there[2], back[2];
static void *echo(void *unused) {
    (void)unused;
    unsigned char byte;
    while (read(there[0], &byte, 1) == 1)
        if (write(back[1], &byte, 1) != 1)
            fail("write");
    if (!ending)
        fail("read of echo");
    return NULL;
}
static void *throw(void *unused) {
    (void)unused;
    for (unsigned char i = 0; !ending; i++) {
        unsigned char byte;
        if (write(there[1], &i, 1) != 1 || read(back[0], &byte, 1) != 1 || byte != i)
            fail("pipe");
        usleep(300);
    }
    close(there[1]);
    return NULL;
}

static void *locks(void *parity) {
    pthread_mutex_lock(&mutex);
    while (!ending) {
        while (turns % 2 != (long)parity && !ending)
            pthread_cond_wait(&condition, &mutex);
        turns++;
        if (turns % 64 == 0)
            usleep(500);
        pthread_cond_broadcast(&condition);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* Queued signals must come in order, each once. */
static volatile int next_value;
static void on_queued(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_value.sival_int != next_value)
        fail("signal %d: got value %d after %d", signal, info->si_value.sival_int, next_value - 1);
    next_value = info->si_value.sival_int + 1;
}
static void *signals(void *unused) {
    (void)unused;
    sigset_t set, old, during;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    for (int i = 0; !ending; i++) {
        if (pthread_sigmask(SIG_UNBLOCK, &set, &old))
            fail("pthread_sigmask");
        if (pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){.sival_int = i}))
            fail("pthread_sigqueue");
        if (next_value != i + 1)
            fail("signal %d did not come", i);
        if (pthread_sigmask(SIG_SETMASK, &old, &during) || !sigismember(&during, SIGUSR1) ||
            sigismember(&during, SIGRTMIN) || sigismember(&during, SIGUSR2))
            fail("the signal mask has changed");
        usleep(100);
    }
    return NULL;
}

/* Threads and processes come and go. */
static void *nothing(void *unused) {
    return unused;
}
static void *births(void *unused) {
    (void)unused;
    while (!ending) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
            fail("pthread_create");
        usleep(2000);
    }
    return NULL;
}
static void *forks(void *unused) {
    (void)unused;
    while (!ending) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(7);
        if (child < 0 || waitpid(child, &status, 0) != child || status != 7 << 8)
            fail("fork");
        usleep(5000);
    }
    return NULL;
}

/* Mappings that are no thread's stack or arena. */
static size_t count_mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    size_t count = 0;
    while (fgets(line, sizeof line, maps))
        count += strstr(line, "rwxp") != NULL;
    fclose(maps);
    return count;
}

static void on_term(int signal) {
    (void)signal;
    ending = 1;
}

int main(int argc, char **argv) {
    (void)argv;
    with_epoll = argc == 1;
    static void *(*const starts[])(void *) = {registers, registers, sleeps, polls, echo,
                                              throw,     signals,   births, forks};
    enum { STARTS = sizeof starts / sizeof *starts };
    pthread_t threads[STARTS + 2];
    struct sigaction queued = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t set;
    if (pipe(there) || pipe(back))
        return 2;
    sigaction(SIGRTMIN, &queued, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < STARTS; i++)
        pthread_create(&threads[i], NULL, starts[i], NULL);
    pthread_create(&threads[STARTS], NULL, locks, (void *)0);
    pthread_create(&threads[STARTS + 1], NULL, locks, (void *)1);
    signal(SIGTERM, on_term);
    sigdelset(&set, SIGUSR1);
    sigdelset(&set, SIGRTMIN);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    puts("ready");
    fflush(stdout);
    while (!ending)
        usleep(3000);
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < STARTS + 2; i++)
        pthread_join(threads[i], NULL);
    if (count_mappings() != 0)
        fail("%zu stray mappings", count_mappings());
    if (turns < 10 || next_value < 10)
        fail("too little was done");
    puts("ok");
    return 0;
}
