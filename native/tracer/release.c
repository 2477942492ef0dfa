#include "tracer.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <unistd.h>

/* How long a thread that was killed may take to end, and a stop to take effect. */
#define PATIENCE_MS 10000

/* In the order in which the pieces were changed, backwards. */
static void let_go(struct thread *thread) {
    if (thread->condition == RUNNING && (!thread->changed || park(thread) != 0))
        return;
    if (thread->condition == GONE)
        return;
    disengage(thread);
    if (thread->changed)
        ptrace(PTRACE_SETREGS, thread->tid, 0, &thread->released);
    if (ptrace(PTRACE_DETACH, thread->tid, 0, 0) < 0) {
        thread->condition = RUNNING; /* killed: it has yet to end */
        await_stop(thread, in_milliseconds(PATIENCE_MS));
    }
    thread->condition = GONE;
}

/* Threads that never stopped stay attached until the tracer ends; the kernel then lets them go. */
static bool let_all_go(void) {
    bool attached = false;
    for (size_t i = target.count; i-- > 0;) {
        let_go(target.threads[i]);
        attached |= target.threads[i]->condition == RUNNING;
    }
    return attached;
}

static bool all_gone(void) {
    for (size_t i = 0; i < target.count; i++)
        if (target.threads[i]->condition != GONE)
            return false;
    return true;
}

static void await_end(void) {
    deadline end = in_milliseconds(PATIENCE_MS);
    do
        collect_stops();
    while (!all_gone() && nap(end));
}

static bool all_stopped(void) {
    for (size_t i = 0; i < target.count; i++) {
        char state = thread_state(target.threads[i]->tid);
        if (state != 'T' && state != 'Z' && state != 'X' && state != 0)
            return false;
    }
    return true;
}

static void await_group_stop(void) {
    deadline end = in_milliseconds(PATIENCE_MS);
    while (!all_stopped() && in_milliseconds(0) < end)
        usleep(200);
}

int release(int how, bool *attached) {
    collect_stops();
    /* Its id may be another process's by now. */
    if (all_gone()) {
        bool kept = keep_undo();
        *attached = false;
        threads_forget();
        return how == RELEASE_STOP || kept ? ESRCH : 0;
    }
    int sealed = how == RELEASE_KILL ? keep_seal() : 0;
    if (sealed)
        how = RELEASE_RUN;
    if (how == RELEASE_RUN)
        keep_undo();
    int error = how == RELEASE_KILL ? 0 : scratch_remove();
    if (sealed)
        error = sealed;
    if (how == RELEASE_KILL) {
        kill(target.pid, SIGKILL);
        await_end();
        keep_leave();
    } else if (how == RELEASE_STOP) {
        /*
         * Every thread is inside get_signal(), where it looks for signals once more before it
         * returns: the first to be detached takes this one, and the kernel makes all others join.
         */
        kill(target.pid, SIGSTOP);
    }
    *attached = let_all_go();
    if (how == RELEASE_STOP) {
        await_group_stop();
        if (error)
            keep_undo();
        else
            keep_leave();
    }
    threads_forget();
    return error;
}
