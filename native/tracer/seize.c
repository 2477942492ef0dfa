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

/* Whether PTRACE_SEIZE says EPERM only because the thread is ours already, or has ended. */
static bool is_ours(pid_t tid) {
    uint64_t tracer;
    return status_field(tid, "TracerPid", 10, &tracer) && tracer == (uint64_t)getpid();
}

static long seize_thread(pid_t tid) {
    with_stops_collected(true);
    long result = ptrace(PTRACE_SEIZE, tid, 0, SEIZE_OPTIONS);
    int error = errno;
    with_stops_collected(false);
    errno = error;
    return result;
}

/* A thread that is ending is left out. */
static int attach(pid_t tid, bool *fresh) {
    if (seize_thread(tid) == 0)
        ptrace(PTRACE_INTERRUPT, tid, 0, 0);
    else if (errno == ESRCH || thread_is_dead(tid))
        return 0;
    else if (errno != EPERM || !is_ours(tid)) /* ours: its first stop is yet to be waited for */
        return errno;
    *fresh = true;
    return thread_ensure(tid) ? 0 : ENOMEM;
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
        struct thread *known = thread_find(tid);
        if (tid > 0 && (!known || known->condition == GONE))
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
    ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0); /* any stop cancels an interrupt that is pending */
    ptrace(PTRACE_CONT, thread->tid, 0, signal); /* ESRCH: killed, it has yet to end */
}

static int settle_all(deadline end) {
    for (;;) {
        collect_stops();
        bool settled = true;
        for (size_t i = 0; i < target.count; i++) {
            struct thread *thread = target.threads[i];
            if (thread->condition == STOPPED && !is_event_stop(thread))
                settle(thread);
            settled &= thread->condition != RUNNING;
        }
        if (settled)
            return 0;
        if (!nap(end))
            return ETIMEDOUT;
    }
}

/* clone(2) without CLONE_THREAD makes a process of its own, which PTRACE_O_TRACECLONE gives us too.
 */
static bool is_foreign(const struct thread *thread) {
    return thread_state(thread->tid) == 0;
}

static int note_all_registers(void) {
    size_t held = 0;
    for (size_t i = 0; i < target.count; i++) {
        struct thread *thread = target.threads[i];
        if (is_foreign(thread)) {
            ptrace(PTRACE_DETACH, thread->tid, 0, 0);
            thread->condition = GONE;
        }
        struct user_regs_struct registers;
        if (thread->condition != STOPPED || ptrace(PTRACE_GETREGS, thread->tid, 0, &registers) < 0)
            continue; /* killed meanwhile */
        thread->group_stopped = WSTOPSIG(thread->status) != SIGTRAP;
        note_registers(thread, &registers);
        held++;
    }
    return held > 0 ? 0 : ESRCH;
}

int seize(pid_t pid) {
    if (target.pid)
        return EBUSY;
    target.pid = pid;
    deadline end = in_milliseconds(PATIENCE_MS);
    bool fresh = true;
    int error = 0;
    while (!error && fresh) {
        error = attach_all(&fresh);
        if (!error)
            error = settle_all(end);
    }
    return error ? error : note_all_registers();
}
