/*
 * A thousand threads (or argv[1] many), each with a name, a signal mask, a nice value, a policy, an
 * affinity and an alternate stack of its own, waiting on a semaphore. Each checks itself
 * afterwards. argv[2] `new-ids`: the thread ids may differ.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK = 64 << 10, MANY = 1000 };

struct state {
    char name[32];
    sigset_t mask;
    cpu_set_t affinity;
    int nice, policy, realtime;
    pid_t tid;
    void *robust;
    stack_t alternate;
    uint64_t own;
};

static struct worker {
    pthread_t thread;
    char alternate[4096];
    bool joinable;
} workers[MANY];
static int many = MANY, cpus[2];
static bool same_ids = true;
static sem_t start, prepared;
static atomic_int handled;
static _Thread_local uint64_t own;
static _Thread_local volatile int signalled;

static void on_signal(int signal) {
    (void)signal;
    signalled++;
    atomic_fetch_add(&handled, 1);
}

static void observe(struct state *state) {
    size_t length;
    struct sched_param parameters;
    memset(state, 0, sizeof *state);
    NEED(prctl(PR_GET_NAME, state->name));
    NEED(-pthread_sigmask(SIG_SETMASK, NULL, &state->mask));
    NEED(sched_getaffinity(0, sizeof state->affinity, &state->affinity));
    errno = 0;
    state->nice = getpriority(PRIO_PROCESS, 0);
    state->policy = sched_getscheduler(0);
    NEED(sched_getparam(0, &parameters));
    state->realtime = parameters.sched_priority;
    state->tid = (pid_t)syscall(SYS_gettid);
    NEED(syscall(SYS_get_robust_list, 0, &state->robust, &length));
    NEED(sigaltstack(NULL, &state->alternate));
    state->own = own;
}

static void prepare(struct worker *self, int index) {
    char name[16];
    snprintf(name, sizeof name, "worker (%d) %c", index, index % 2 ? ')' : '\n');
    NEED(prctl(PR_SET_NAME, name));
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGRTMIN + index % 20);
    sigaddset(&mask, SIGTERM);
    NEED(-pthread_sigmask(SIG_BLOCK, &mask, NULL));
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus[index % 2], &set);
    if (index % 3 != 0)
        NEED(sched_setaffinity(0, sizeof set, &set));
    NEED(setpriority(PRIO_PROCESS, 0, index % 20));
    struct sched_param parameters = {0};
    if (index % 7 == 1)
        NEED(sched_setscheduler(0, SCHED_BATCH, &parameters));
    if (index % 7 == 2)
        NEED(sched_setscheduler(0, SCHED_IDLE, &parameters));
    if (index % 7 == 3) {
        parameters.sched_priority = 1 + index % 5;
        /* Not everybody may. */
        (void)sched_setscheduler(0, index % 2 ? SCHED_FIFO : SCHED_RR, &parameters);
    }
    if (index % 5 != 0) {
        stack_t alternate = {.ss_sp = self->alternate, .ss_size = sizeof self->alternate};
        NEED(sigaltstack(&alternate, NULL));
    }
    own = (uint64_t)index * 77;
}

static void compare(const struct state *was, const struct state *is, int index) {
    CHECK(strcmp(was->name, is->name) == 0, "thread %d: name was %s, is %s", index, was->name,
          is->name);
    CHECK(memcmp(&was->mask, &is->mask, 8) == 0, "thread %d: signal mask", index);
    CHECK(CPU_EQUAL(&was->affinity, &is->affinity), "thread %d: affinity", index);
    CHECK(was->nice == is->nice, "thread %d: nice was %d, is %d", index, was->nice, is->nice);
    CHECK(was->policy == is->policy && was->realtime == is->realtime,
          "thread %d: policy was %d %d, is %d %d", index, was->policy, was->realtime, is->policy,
          is->realtime);
    CHECK(!same_ids || was->tid == is->tid, "thread %d: tid was %d, is %d", index, was->tid,
          is->tid);
    CHECK(was->robust == is->robust, "thread %d: robust list was %p, is %p", index, was->robust,
          is->robust);
    CHECK(was->alternate.ss_sp == is->alternate.ss_sp &&
              was->alternate.ss_size == is->alternate.ss_size &&
              was->alternate.ss_flags == is->alternate.ss_flags,
          "thread %d: alternate stack", index);
    CHECK(was->own == is->own, "thread %d: thread-local variable", index);
}

/* The kernel writes the cpu into the registered area whenever the thread is scheduled. */
static void check_rseq(int index) {
    if (__rseq_size == 0)
        return;
    struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    for (int i = 0; i < 2; i++) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpus[i], &set);
        NEED(sched_setaffinity(0, sizeof set, &set));
        int cpu = (int)__atomic_load_n(&area->cpu_id, __ATOMIC_SEQ_CST);
        CHECK(cpu == cpus[i], "thread %d: rseq says cpu %d, runs on %d", index, cpu, cpus[i]);
    }
}

static void *work(void *argument) {
    struct worker *self = argument;
    int index = (int)(self - workers);
    struct state before, after;
    prepare(self, index);
    observe(&before);
    sem_post(&prepared);
    while (sem_wait(&start) != 0)
        fail("thread %d: sem_wait: %s", index, strerror(errno));
    observe(&after);
    compare(&before, &after, index);
    check_rseq(index);
    /* pthread_kill goes by the id that the C library keeps. */
    int error = pthread_kill(pthread_self(), SIGUSR2);
    CHECK(error == 0 && signalled == 1, "thread %d: a signal to itself: error %d, %d arrived",
          index, error, signalled);
    return self;
}

int main(int argc, char **argv) {
    many = argc > 1 ? atoi(argv[1]) : MANY;
    same_ids = argc < 3 || strcmp(argv[2], "new-ids") != 0;
    cpu_set_t set;
    NEED(sched_getaffinity(0, sizeof set, &set));
    for (int cpu = 0, found = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
        if (CPU_ISSET(cpu, &set))
            for (int i = found++; i < 2; i++)
                cpus[i] = cpu;
    struct sigaction action = {.sa_handler = on_signal};
    NEED(sigaction(SIGUSR2, &action, NULL));
    sem_init(&start, 0, 0);
    sem_init(&prepared, 0, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (int i = 0; i < many; i++)
        NEED(-pthread_create(&workers[i].thread, &attributes, work, &workers[i]));
    for (int i = 0; i < many; i++)
        while (sem_wait(&prepared) != 0) {
        }
    self_take();
    ready();
    await_go();
    self_compare(false);
    for (int i = 0; i < many; i++)
        sem_post(&start);
    for (int i = 0; i < many; i++) {
        void *result = NULL;
        CHECK(pthread_join(workers[i].thread, &result) == 0 && result == &workers[i],
              "thread %d: join", i);
    }
    CHECK(handled == many, "%d of %d threads got their signal", handled, many);
    finish();
}
