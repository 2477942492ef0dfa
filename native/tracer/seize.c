#include "tracer.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* A thread that cannot be stopped (a parent in vfork(2), a dead file server) is given this long. */
#define PATIENCE_MS 10000

static long seize_thread(pid_t tid) {
    with_stops_collected(true);
    long result = ptrace(PTRACE_SEIZE, tid, 0, SEIZE_OPTIONS);
    int error = errno;
    with_stops_collected(false);
    errno = error;
    return result;
}

/*
 * EPERM has several meanings. Ours: the kernel attached it, its first stop is yet to come. Ending:
 * it is left out. But at the end of an execve(2) the leader's id passes from a thread that has
 * ended to another one, between our question and the look at its state: then the question is asked
 * again.
 */
#define ATTEMPTS 50

static int seize_living(pid_t tid, bool *seized) {
    for (int i = 0; i < ATTEMPTS; i++) {
        *seized = seize_thread(tid) == 0;
        if (*seized) {
            ptrace(PTRACE_INTERRUPT, tid, 0, 0);
            return 0;
        }
        if (errno != EPERM)
            return errno == ESRCH ? 0 : errno;
        *seized = thread_is_ours(tid);
        if (*seized || thread_is_dead(tid))
            return 0;
        usleep(1000);
    }
    return EPERM;
}

/*
 * Done as soon as the thread has stopped: from here on, a call that our stop ended with EINTR is
 * made again even if we die.
 */
static void note_stop(struct thread *thread) {
    struct user_regs_struct registers;
    if (thread->noted || ptrace(PTRACE_GETREGS, thread->tid, 0, &registers) < 0)
        return; /* killed meanwhile */
    thread->group_stopped = WSTOPSIG(thread->status) != SIGTRAP;
    note_registers(thread, &registers);
    thread->noted = true;
    if (thread->changed)
        put_back(thread);
}

/*
 * A thread that works for an io_uring never runs the program. One that waits for work does not
 * stop, and one that has some would be interrupted in it, of which the program would be told.
 */
static int attach(pid_t tid, bool *fresh) {
    bool seized;
    if (thread_is_worker(tid))
        return 0;
    int error = seize_living(tid, &seized);
    if (error || !seized)
        return error;
    *fresh = true;
    struct thread *thread = thread_ensure(tid);
    if (!thread)
        return ENOMEM;
    await_shortly(thread);
    if (is_event_stop(thread))
        note_stop(thread);
    return 0;
}

/*
 * Whether the thread is in the table, and still the one that is meant there: an execve(2) gives the
 * leader's id to another thread, which may not be ours.
 */
static bool is_known(pid_t tid) {
    unsigned long message;
    struct thread *thread = thread_find(tid);
    if (thread && thread->condition == STOPPED && ptrace(PTRACE_GETEVENTMSG, tid, 0, &message) < 0)
        thread->condition = GONE;
    return thread && thread->condition != GONE;
}

/* Attaches every thread that is not in the table; `fresh` tells whether there were any. */
static int attach_all(bool *fresh) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/task", target.pid);
    DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT ? ESRCH : errno;
    int error = 0;
    struct dirent *entry;
    *fresh = false;
    while (!error && (entry = readdir(directory))) {
        pid_t tid = atoi(entry->d_name);
        if (tid > 0 && !is_known(tid))
            error = attach(tid, fresh);
    }
    closedir(directory);
    return error;
}

/* The thread that called execve(2) has taken the leader's id, and all others are gone. */
static void note_exec(struct thread *leader) {
    unsigned long former;
    if (ptrace(PTRACE_GETEVENTMSG, leader->tid, 0, &former) < 0)
        return;
    struct thread *thread = thread_find(former);
    if (thread && thread != leader)
        thread->condition = GONE;
}

/*
 * Brings a stopped thread nearer to its PTRACE_EVENT_STOP. A signal that came first is delivered:
 * the kernel sets up its handler's frame, and the stop asked for anew follows before the handler's
 * first instruction. It is as if the signal had come a moment before us.
 */
static void settle(struct thread *thread) {
    int event = thread->status >> 16;
    int signal = event ? 0 : WSTOPSIG(thread->status);
    if (event == PTRACE_EVENT_EXEC)
        note_exec(thread);
    thread->condition = RUNNING;
    thread->noted = false;
    thread->facts_read = false;
    ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0); /* any stop cancels an interrupt that is pending */
    ptrace(PTRACE_CONT, thread->tid, 0, signal); /* ESRCH: killed, it has yet to end */
}

static int settle_all(deadline end) {
    for (;;) {
        collect_stops();
        bool settled = true;
        for (size_t i = 0; i < target.count; i++) {
            struct thread *thread = target.threads[i];
            if (is_event_stop(thread))
                note_stop(thread);
            else if (thread->condition == STOPPED)
                settle(thread);
            settled &= thread->condition != RUNNING;
        }
        if (settled)
            return 0;
        if (!nap(end))
            return ETIMEDOUT;
    }
}

/* clone(2) without CLONE_THREAD makes a process, which PTRACE_O_TRACECLONE gives us as well. */
static bool is_foreign(const struct thread *thread) {
    return thread_state(thread->tid) == 0;
}

static int count_held(void) {
    size_t held = 0;
    for (size_t i = 0; i < target.count; i++) {
        struct thread *thread = target.threads[i];
        if (is_foreign(thread)) {
            ptrace(PTRACE_DETACH, thread->tid, 0, 0);
            thread->condition = GONE;
        }
        held += thread->condition == STOPPED && thread->noted;
    }
    return held > 0 ? 0 : ESRCH;
}

/* Attaches and stops until nothing new turns up. */
static int hold_all(deadline end) {
    bool fresh = true;
    while (fresh) {
        int error = attach_all(&fresh);
        if (!error)
            error = settle_all(end);
        if (error)
            return error;
        if (fresh && in_milliseconds(0) >= end)
            return ETIMEDOUT;
    }
    return count_held();
}

int seize(pid_t pid) {
    target.pid = pid;
    deadline end = in_milliseconds(PATIENCE_MS);
    int error;
    do /* again where an execve(2) has replaced all that we had */
        error = hold_all(end);
    while (error == ESRCH && !thread_is_dead(pid) && in_milliseconds(0) < end);
    return error;
}
