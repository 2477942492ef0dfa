#include "tracer.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

static sigset_t child_signal;

/* Runs only where with_stops_collected() lets it, where nothing else touches the table. */
static void on_child(int signal) {
    (void)signal;
    int error = errno;
    collect_stops();
    errno = error;
}

void stops_init(void) {
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, NULL);
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);
}

/*
 * Needed in two places. While we wait for a request, or else a target that is killed while held
 * would stay a zombie. And around PTRACE_SEIZE: it waits for an execve(2) in progress, which waits
 * for the other threads' ends, which, being traced, wait for us. An end whose SIGCHLD was awaited
 * for the sake of another thread, and is no longer pending, has to be collected before.
 */
void with_stops_collected(bool on) {
    if (on)
        collect_stops();
    sigprocmask(on ? SIG_UNBLOCK : SIG_BLOCK, &child_signal, NULL);
}

deadline in_milliseconds(unsigned milliseconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000 + milliseconds;
}

static void note(struct thread *thread, int status) {
    thread->condition = WIFSTOPPED(status) ? STOPPED : GONE;
    thread->status = status;
}

void collect_stops(void) {
    int status;
    pid_t tid;
    while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
        struct thread *thread = WIFSTOPPED(status) ? thread_ensure(tid) : thread_find(tid);
        if (thread)
            note(thread, status);
    }
}

/* For one thread only: to wait for any, the kernel looks at all of them, a thousand perhaps. */
static void collect_stop(struct thread *thread) {
    int status;
    if (waitpid(thread->tid, &status, __WALL | WNOHANG) == thread->tid)
        note(thread, status);
}

/*
 * Of some ends waitpid(2) says nothing: of a leader's before all other threads have ended, and of
 * the threads that an execve(2) replaces, whose ids live on.
 */
static void note_dead_threads(void) {
    for (size_t i = 0; i < target.count; i++) {
        struct thread *thread = target.threads[i];
        if (thread->condition == RUNNING &&
            (thread_is_dead(thread->tid) || !thread_is_ours(thread->tid)))
            thread->condition = GONE;
    }
}

bool nap(deadline end) {
    const struct timespec slice = {.tv_nsec = 100000000};
    if (in_milliseconds(0) >= end)
        return false;
    if (sigtimedwait(&child_signal, NULL, &slice) < 0 && errno == EAGAIN)
        note_dead_threads();
    return true;
}

int await_stop(struct thread *thread, deadline end) {
    for (;;) {
        collect_stop(thread);
        if (thread->condition == STOPPED)
            return 0;
        if (thread->condition == GONE)
            return ESRCH;
        if (!nap(end))
            return ETIMEDOUT;
    }
}

void await_shortly(struct thread *thread) {
    const struct timespec moment = {.tv_nsec = 200000};
    collect_stop(thread);
    if (thread->condition == RUNNING && sigtimedwait(&child_signal, NULL, &moment) > 0)
        collect_stop(thread);
}

bool is_event_stop(const struct thread *thread) {
    return thread->condition == STOPPED && thread->status >> 16 == PTRACE_EVENT_STOP;
}
