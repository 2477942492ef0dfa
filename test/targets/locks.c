/*
 * Locks held and waits in flight: for every kind of lock a thread that holds it and one that waits
 * for it, when the process is frozen. Afterwards the holders let go, and everyone must get through.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum kind { NORMAL, RECURSIVE, ERRORCHECK, ROBUST, INHERIT, KINDS };
static const char *const names[] = {"normal", "recursive", "error-checking", "robust",
                                    "priority-inheriting"};

static struct lock {
    pthread_mutex_t mutex;
    pthread_t holder, waiter;
    atomic_int waiter_tid;
    int shared;
} locks[KINDS];

static sem_t holding, release, plain;
static atomic_int through;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int turns;
static atomic_int tids[16], waiting;

static void wait_for(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0)
        fail("sem_wait: %s", strerror(errno));
}

static void *hold(void *argument) {
    struct lock *lock = argument;
    enum kind kind = (enum kind)(lock - locks);
    NEED(-pthread_mutex_lock(&lock->mutex));
    if (kind == RECURSIVE)
        NEED(-pthread_mutex_lock(&lock->mutex));
    sem_post(&holding);
    wait_for(&release);
    lock->shared = 1;
    if (kind == ERRORCHECK) {
        int error = pthread_mutex_lock(&lock->mutex);
        CHECK(error == EDEADLK, "error-checking mutex: second lock gives %d", error);
    }
    if (kind == RECURSIVE) {
        CHECK(pthread_mutex_lock(&lock->mutex) == 0, "recursive mutex: third lock");
        CHECK(pthread_mutex_unlock(&lock->mutex) == 0, "recursive mutex: first unlock");
        CHECK(pthread_mutex_unlock(&lock->mutex) == 0, "recursive mutex: second unlock");
    }
    /* The holder of the robust one dies with it: the kernel walks its list. */
    if (kind != ROBUST) {
        int error = pthread_mutex_unlock(&lock->mutex);
        CHECK(error == 0, "%s mutex: unlock by its holder gives %d", names[kind], error);
    }
    return NULL;
}

static void *want(void *argument) {
    struct lock *lock = argument;
    enum kind kind = (enum kind)(lock - locks);
    lock->waiter_tid = (int)syscall(SYS_gettid);
    int error = pthread_mutex_lock(&lock->mutex);
    CHECK(error == (kind == ROBUST ? EOWNERDEAD : 0), "%s mutex: waiting for it gives %d",
          names[kind], error);
    CHECK(lock->shared == 1, "%s mutex: got it before it was free", names[kind]);
    if (kind == ROBUST)
        CHECK(pthread_mutex_consistent(&lock->mutex) == 0, "robust mutex: consistent");
    error = pthread_mutex_unlock(&lock->mutex);
    CHECK(error == 0, "%s mutex: unlock by the next gives %d", names[kind], error);
    atomic_fetch_add(&through, 1);
    return NULL;
}

static void arrive(void) {
    tids[atomic_fetch_add(&waiting, 1)] = (int)syscall(SYS_gettid);
}

static void *read_lock(void *unused) {
    NEED(-pthread_rwlock_rdlock(&rwlock));
    sem_post(&holding);
    wait_for(&release);
    CHECK(pthread_rwlock_unlock(&rwlock) == 0, "read lock: unlock");
    return unused;
}
static void *write_lock(void *unused) {
    arrive();
    CHECK(pthread_rwlock_wrlock(&rwlock) == 0, "write lock");
    CHECK(pthread_rwlock_tryrdlock(&rwlock) != 0, "write lock shared");
    CHECK(pthread_rwlock_unlock(&rwlock) == 0, "write lock: unlock");
    atomic_fetch_add(&through, 1);
    return unused;
}
static void *wait_turn(void *argument) {
    struct timespec far = {.tv_sec = time(NULL) + 100000};
    pthread_mutex_lock(&guard);
    arrive();
    while (turns == 0) {
        int error = argument == NULL ? pthread_cond_wait(&turn, &guard)
                                     : pthread_cond_timedwait(&turn, &guard, &far);
        CHECK(error == 0, "condition wait gives %d", error);
    }
    turns--;
    pthread_mutex_unlock(&guard);
    atomic_fetch_add(&through, 1);
    return NULL;
}
static void *wait_barrier(void *unused) {
    arrive();
    int result = pthread_barrier_wait(&barrier);
    CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD, "barrier gives %d", result);
    atomic_fetch_add(&through, 1);
    return unused;
}
static void *wait_semaphore(void *unused) {
    arrive();
    wait_for(&plain);
    atomic_fetch_add(&through, 1);
    return unused;
}
static void slow(void) {
    sem_post(&holding);
    wait_for(&release);
}
static void *first(void *unused) {
    pthread_once(&once, slow);
    return unused;
}
static void *second(void *unused) {
    arrive();
    pthread_once(&once, slow);
    atomic_fetch_add(&through, 1);
    return unused;
}

/* Until the thread sleeps in the kernel: state S, in a futex call (202). */
static void until_waiting(int tid) {
    char path[64], text[512];
    do {
        snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
        if (slurp(path, text, sizeof text) == 0)
            return; /* not readable everywhere; then the wait is merely likely */
        sched_yield();
    } while (strncmp(text, "202 ", 4) != 0);
}

int main(void) {
    static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
                                PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_NORMAL,
                                PTHREAD_MUTEX_NORMAL};
    static void *(*const waiters[])(void *) = {write_lock,     wait_turn,    wait_turn,
                                               wait_turn,      wait_barrier, wait_barrier,
                                               wait_semaphore, second};
    enum { WAITERS = sizeof waiters / sizeof *waiters };
    pthread_t holders[3], others[WAITERS];
    sem_init(&holding, 0, 0);
    sem_init(&release, 0, 0);
    sem_init(&plain, 0, 0);
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < KINDS; i++) {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, types[i]);
        if (i == ROBUST)
            pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        if (i == INHERIT)
            pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
        NEED(-pthread_mutex_init(&locks[i].mutex, &attributes));
        NEED(-pthread_create(&locks[i].holder, NULL, hold, &locks[i]));
    }
    NEED(-pthread_create(&holders[0], NULL, read_lock, NULL));
    NEED(-pthread_create(&holders[1], NULL, read_lock, NULL));
    NEED(-pthread_create(&holders[2], NULL, first, NULL));
    for (int i = 0; i < KINDS + 3; i++)
        wait_for(&holding);
    for (int i = 0; i < KINDS; i++)
        NEED(-pthread_create(&locks[i].waiter, NULL, want, &locks[i]));
    for (int i = 0; i < WAITERS; i++)
        NEED(-pthread_create(&others[i], NULL, waiters[i], i == 2 ? &turns : NULL));
    while (waiting < WAITERS)
        sched_yield();
    for (int i = 0; i < WAITERS; i++)
        until_waiting(tids[i]);
    for (int i = 0; i < KINDS; i++) {
        while (locks[i].waiter_tid == 0)
            sched_yield();
        until_waiting(locks[i].waiter_tid);
    }
    self_take();
    ready();
    await_go();
    self_compare(false);
    CHECK(through == 0, "%d waiters were let through early", through);
    CHECK(pthread_mutex_trylock(&locks[NORMAL].mutex) == EBUSY, "a held mutex is free");
    for (int i = 0; i < KINDS + 3; i++)
        sem_post(&release);
    pthread_mutex_lock(&guard);
    turns = 3;
    pthread_cond_broadcast(&turn);
    pthread_mutex_unlock(&guard);
    sem_post(&plain);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < KINDS; i++) {
        CHECK(pthread_join(locks[i].holder, NULL) == 0, "join of a holder");
        CHECK(pthread_join(locks[i].waiter, NULL) == 0, "join of a waiter");
    }
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(holders[i], NULL) == 0, "join of a holder");
    for (int i = 0; i < WAITERS; i++)
        CHECK(pthread_join(others[i], NULL) == 0, "join of a waiter");
    CHECK(through == KINDS + WAITERS, "%d of %d got through", through, KINDS + WAITERS);
    finish();
}
