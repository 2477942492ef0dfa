#include "tracer.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/* How long a thread may take from where injected code left it to its event stop. */
#define PARK_MS 10000

/* Signals that the kernel raises for what an instruction did. */
static bool is_fault(const siginfo_t *info) {
    switch (info->si_signo) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGTRAP:
    case SIGSYS:
        return info->si_code > 0;
    default:
        return false;
    }
}

/* Passed on while blocked, a signal goes back to the queue it came from, with its siginfo. */
static void block(struct thread *thread, int signal) {
    thread->blocked |= 1ull << (signal - 1);
    ptrace(PTRACE_SETSIGMASK, thread->tid, sizeof thread->blocked, &thread->blocked);
}

/*
 * Resumes an engaged thread with `request` until something happens that concerns its caller.
 * SIGSTOP, which cannot be blocked, is passed on: the kernel's group stop then begins, this thread
 * is resumed all the same, and when it is detached the kernel makes it join the stop, unless a
 * SIGCONT has come.
 */
struct advance advance(struct thread *thread, int request, deadline end) {
    struct advance result = {.stop = STOP_FAILED};
    for (int signal = 0;;) {
        thread->condition = RUNNING;
        thread->changed = true;
        if (request == PTRACE_CONT &&
            !thread->awaited) /* wanted is the next event stop; any other stop cancels it */
            ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0);
        ptrace(request, thread->tid, 0,
               signal); /* ESRCH: killed; its end is yet to be waited for */
        result.error = await_stop(thread, end);
        if (result.error)
            return result;

        if (is_event_stop(thread)) {
            result.stop = STOP_EVENT;
            return result;
        }
        signal = WSTOPSIG(thread->status);
        if (signal == (SIGTRAP | 0x80)) {
            result.stop = STOP_SYSCALL;
            return result;
        }
        if (ptrace(PTRACE_GETSIGINFO, thread->tid, 0, &result.info) < 0)
            continue;
        if (is_fault(&result.info)) {
            result.stop = STOP_FAULT;
            return result;
        }
        if (signal == thread->awaited) {
            result.stop = STOP_SIGNAL;
            return result;
        }
        if (signal != SIGSTOP)
            block(thread, signal);
    }
}

int park(struct thread *thread) {
    deadline end = in_milliseconds(PARK_MS);
    if (thread->condition == RUNNING) { /* it was given up on */
        ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0);
        int error = await_stop(thread, end);
        if (error)
            return error;
    }
    while (!is_event_stop(thread)) {
        struct advance step = advance(thread, PTRACE_CONT, end);
        if (step.stop == STOP_FAILED)
            return step.error;
    }
    return 0;
}
