#include "tracer.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* linux/ptrace.h, since Linux 6.4. */
#define GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#define SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210

#define BIT(signal) (1ull << ((signal)-1))
#define FAULTS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP) | BIT(SIGSYS))

/*
 * Blocks every signal. But a fault while its signal is blocked makes the kernel set that signal's
 * action back to the default: signals of faults stay as the thread has them.
 */
int block_signals(struct thread *thread) {
    thread->blocked = ~FAULTS | thread->mask;
    if (thread->awaited)
        thread->blocked &= ~BIT(thread->awaited);
    return ptrace(PTRACE_SETSIGMASK, thread->tid, sizeof thread->blocked, &thread->blocked) < 0
               ? errno
               : 0;
}

static int save_mask(struct thread *thread) {
    if (ptrace(PTRACE_GETSIGMASK, thread->tid, sizeof thread->mask, &thread->mask) < 0)
        return errno;
    thread->blocked = thread->mask;
    return 0;
}

static int save_xstate(struct thread *thread) {
    if (!thread->xstate)
        thread->xstate = malloc(MAX_XSTATE);
    if (!thread->xstate)
        return ENOMEM;
    thread->xstate_size = read_xstate(thread->tid, thread->xstate, MAX_XSTATE);
    return thread->xstate_size > 0 ? 0 : errno;
}

/*
 * A thread stopped within a restartable sequence is to start that over. The kernel forgets the
 * sequence as soon as the thread runs elsewhere, so its descriptor's address has to be put back.
 */
static void save_sequence(struct thread *thread) {
    struct __ptrace_rseq_configuration rseq = {0};
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, thread->tid, sizeof rseq, &rseq) < 0 ||
        !rseq.rseq_abi_pointer)
        return;
    uint64_t cell = rseq.rseq_abi_pointer + 8; /* rseq_cs of struct rseq */
    errno = 0;
    uint64_t value = ptrace(PTRACE_PEEKDATA, thread->tid, cell, 0);
    if (errno == 0 && value != 0) {
        thread->rseq_cs = cell;
        thread->rseq_value = value;
    }
}

/*
 * A filter could kill the target for a call that is not its own. Suspending it takes privilege;
 * without that, a target with a filter is left alone.
 */
static int suspend_seccomp(struct thread *thread) {
    if (!has_seccomp_filter(thread))
        return 0;
    long options = SEIZE_OPTIONS | PTRACE_O_SUSPEND_SECCOMP;
    return ptrace(PTRACE_SETOPTIONS, thread->tid, 0, options) < 0 ? errno : 0;
}

bool read_dispatch(pid_t tid, uint64_t dispatch[4]) {
    long size = 4 * sizeof *dispatch;
    return ptrace(GET_SYSCALL_USER_DISPATCH_CONFIG, tid, size, dispatch) == 0 && dispatch[0] != 0;
}

static int suspend_dispatch(struct thread *thread) {
    const uint64_t off[4] = {0};
    long size = sizeof thread->dispatch;
    thread->dispatches = read_dispatch(thread->tid, thread->dispatch);
    if (thread->dispatches && ptrace(SET_SYSCALL_USER_DISPATCH_CONFIG, thread->tid, size, off) < 0)
        return errno;
    return 0;
}

int engage(struct thread *thread) {
    if (thread->engaged)
        return 0;
    int error = suspend_seccomp(thread);
    if (!error)
        error = save_xstate(thread);
    if (!error)
        error = suspend_dispatch(thread);
    if (!error)
        error = save_mask(thread);
    if (!error)
        save_sequence(thread);
    thread->engaged = !error;
    return error;
}

void disengage(struct thread *thread) {
    if (!thread->engaged)
        return;
    struct iovec xstate = {thread->xstate, thread->xstate_size};
    ptrace(PTRACE_SETREGSET, thread->tid, NT_X86_XSTATE, &xstate);
    if (thread->rseq_cs)
        ptrace(PTRACE_POKEDATA, thread->tid, thread->rseq_cs, thread->rseq_value);
    if (thread->dispatches)
        ptrace(SET_SYSCALL_USER_DISPATCH_CONFIG, thread->tid, sizeof thread->dispatch,
               thread->dispatch);
    ptrace(PTRACE_SETSIGMASK, thread->tid, sizeof thread->mask, &thread->mask);
    thread->engaged = false;
}

int put_back(struct thread *thread) {
    if (thread->condition != STOPPED)
        return 0;
    disengage(thread);
    if (ptrace(PTRACE_SETREGS, thread->tid, 0, &thread->released) < 0)
        return errno;
    thread->changed = false;
    return 0;
}

int keep_xstate(struct thread *thread) {
    return thread->engaged ? save_xstate(thread) : 0;
}
