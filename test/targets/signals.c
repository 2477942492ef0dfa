/*
 * Signal state: actions with flags, restorer and mask; signals pending for a thread and for the
 * process, with their siginfo and in order; handlers in progress on alternate stacks.
 * argv[1] `new-ids`: the sender's id in pending signals is that of the frozen process.
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
#include <unistd.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};
static struct kernel_action actions[65];

static int gate[2];
static atomic_int inside, returned;
static pid_t pid;

static void get_actions(struct kernel_action *out) {
    for (int signal = 1; signal <= 64; signal++)
        NEED(syscall(SYS_rt_sigaction, signal, NULL, &out[signal], 8));
}

static void plain(int signal) {
    fail("signal %d out of nothing", signal);
}

static uint64_t current_mask(void) {
    uint64_t mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, 8);
    return mask;
}

/* Is frozen in here: on the alternate stack, with the handler's mask. */
static void blocking(int signal, siginfo_t *info, void *context) {
    unsigned char frame[1024];
    char byte;
    stack_t stack;
    ucontext_t *interrupted = context;
    uint64_t mask = current_mask();
    fill(frame, sizeof frame, (uint64_t)signal);
    int value = info->si_value.sival_int;
    atomic_fetch_add(&inside, 1);
    while (read(gate[0], &byte, 1) != 1)
        fail("read in a handler: %s", strerror(errno));
    verify("frame of a handler", frame, sizeof frame, (uint64_t)signal);
    CHECK(info->si_value.sival_int == value && info->si_signo == signal, "siginfo in a handler");
    CHECK(current_mask() == mask, "mask in a handler was %lx, is %lx", mask, current_mask());
    sigaltstack(NULL, &stack);
    if (value == 1) {
        CHECK(stack.ss_flags & SS_ONSTACK, "alternate stack: in use, flags %x", stack.ss_flags);
        CHECK((char *)frame >= (char *)stack.ss_sp &&
                  (char *)frame < (char *)stack.ss_sp + stack.ss_size,
              "alternate stack: the handler runs elsewhere");
    }
    if (value == 2)
        CHECK(stack.ss_flags & SS_DISABLE, "disarmed alternate stack: flags %x", stack.ss_flags);
    CHECK(interrupted->uc_mcontext.gregs[REG_RSP] != 0, "context in a handler");
    atomic_fetch_add(&returned, 1);
}

/* value 0: no alternate stack; 1: one in use; 2: one that disarms itself. */
static void *handle(void *argument) {
    int value = (int)(intptr_t)argument;
    static char stacks[3][32768];
    stack_t stack = {.ss_sp = stacks[value], .ss_size = sizeof stacks[value]}, after;
    if (value == 2)
        stack.ss_flags = (int)SS_AUTODISARM;
    if (value > 0)
        NEED(sigaltstack(&stack, NULL));
    uint64_t mask = current_mask();
    pthread_sigqueue(pthread_self(), SIGRTMIN + 5, (union sigval){.sival_int = value});
    CHECK(current_mask() == mask, "mask after a handler was %lx, is %lx", mask, current_mask());
    sigaltstack(NULL, &after);
    if (value > 0)
        CHECK(after.ss_sp == stack.ss_sp && after.ss_size == stack.ss_size &&
                  after.ss_flags == stack.ss_flags,
              "alternate stack after a handler: flags %x", after.ss_flags);
    return NULL;
}

static const int own_values[] = {11, 12, 13}, process_values[] = {21, 22, 23, 24};

static void expect_signal(const sigset_t *set, int signal, int code, int value, bool same_ids) {
    siginfo_t info;
    struct timespec none = {0};
    memset(&info, 0, sizeof info);
    /* Raw: the C library turns SI_TKILL into SI_USER. */
    int got = (int)syscall(SYS_rt_sigtimedwait, set, &info, &none, 8);
    CHECK(got == signal, "pending signal: expected %d with %d, got %d with %d (%s)", signal, value,
          got, info.si_value.sival_int, got < 0 ? strerror(errno) : "");
    if (got != signal)
        return;
    CHECK(info.si_code == code, "pending signal %d: si_code was %d, is %d", signal, code,
          info.si_code);
    CHECK(code == SI_USER || code == SI_TKILL || info.si_value.sival_int == value,
          "pending signal %d: value was %d, is %d", signal, value, info.si_value.sival_int);
    CHECK(info.si_pid == pid || !same_ids, "pending signal %d: sender was %d, is %d", signal, pid,
          info.si_pid);
    CHECK(info.si_uid == getuid(), "pending signal %d: si_uid is %d", signal, info.si_uid);
}

int main(int argc, char **argv) {
    bool same_ids = argc < 2 || strcmp(argv[1], "new-ids") != 0;
    pthread_t threads[3];
    pid = getpid();
    NEED(pipe(gate));
    struct sigaction action = {.sa_sigaction = blocking,
                               .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigaddset(&action.sa_mask, SIGHUP);
    sigaddset(&action.sa_mask, SIGRTMAX);
    NEED(sigaction(SIGRTMIN + 5, &action, NULL));
    struct sigaction other = {.sa_handler = plain, .sa_flags = SA_NODEFER | SA_RESETHAND};
    NEED(sigaction(SIGUSR2, &other, NULL));
    NEED(sigaction(SIGRTMAX, &other, NULL));
    other.sa_flags = SA_NOCLDSTOP | SA_NOCLDWAIT;
    sigfillset(&other.sa_mask);
    NEED(sigaction(SIGCHLD, &other, NULL));
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    /* No restorer and an unknown flag, as no C library would set them. */
    struct kernel_action raw = {
        .handler = plain, .flags = SA_RESTART | 0x00000400, .mask = 0x123456789a};
    NEED(syscall(SYS_rt_sigaction, SIGRTMIN + 10, &raw, NULL, 8));

    sigset_t set, first, second;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGRTMIN + 2);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGTERM);
    NEED(-pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 3; i++)
        NEED(-pthread_create(&threads[i], NULL, handle, (void *)(intptr_t)i));
    while (inside < 3)
        sched_yield();

    for (int i = 0; i < 3; i++)
        NEED(-pthread_sigqueue(pthread_self(), SIGRTMIN + 1,
                               (union sigval){.sival_int = own_values[i]}));
    for (int i = 0; i < 4; i++)
        NEED(sigqueue(pid, SIGRTMIN + 2, (union sigval){.sival_int = process_values[i]}));
    NEED(kill(pid, SIGTERM));
    NEED(-pthread_kill(pthread_self(), SIGUSR2));
    get_actions(actions);
    self_take();
    ready();
    await_go();
    self_compare(false);

    struct kernel_action now[65];
    get_actions(now);
    for (int signal = 1; signal <= 64; signal++)
        CHECK(memcmp(&actions[signal], &now[signal], sizeof now[signal]) == 0,
              "action of signal %d: handler %p flags %lx restorer %p mask %lx, was %p %lx %p %lx",
              signal, (void *)now[signal].handler, now[signal].flags, (void *)now[signal].restorer,
              now[signal].mask, (void *)actions[signal].handler, actions[signal].flags,
              (void *)actions[signal].restorer, actions[signal].mask);
    sigemptyset(&first);
    sigaddset(&first, SIGRTMIN + 1);
    sigemptyset(&second);
    sigaddset(&second, SIGRTMIN + 2);
    for (int i = 0; i < 3; i++)
        expect_signal(&first, SIGRTMIN + 1, SI_QUEUE, own_values[i], same_ids);
    for (int i = 0; i < 4; i++)
        expect_signal(&second, SIGRTMIN + 2, SI_QUEUE, process_values[i], same_ids);
    sigset_t usr2, term;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    expect_signal(&usr2, SIGUSR2, SI_TKILL, 0, same_ids);
    expect_signal(&term, SIGTERM, SI_USER, 0, same_ids);
    CHECK(sigtimedwait(&set, NULL, &(struct timespec){0}) == -1, "a pending signal too many");
    NEED(write(gate[1], "xxx", 3));
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "join");
    CHECK(returned == 3, "%d of 3 handlers returned", returned);
    finish();
}
