#include "tracer.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

/* A call or a query that takes longer is given up. */
#define CALL_MS 20000
#define QUERY_MS 30000

/* Selectors of 64-bit code; a thread may have been found in 32-bit code. */
#define USER_CS 0x33
#define USER_SS 0x2b
/* Interrupts on, as always in user mode; direction, trap and the rest off. */
#define FLAGS 0x202

static struct user_regs_struct injected_registers(const struct thread *thread) {
    struct user_regs_struct registers = thread->found;
    registers.cs = USER_CS;
    registers.ss = USER_SS;
    registers.eflags = FLAGS;
    registers.orig_rax = -1; /* or else the kernel would first repeat an interrupted call */
    return registers;
}

static int set_registers(struct thread *thread, const struct user_regs_struct *registers) {
    thread->changed = true;
    return ptrace(PTRACE_SETREGS, thread->tid, 0, registers) < 0 ? errno : 0;
}

void note_fault(struct thread *thread, const siginfo_t *info, struct fault *fault) {
    struct user_regs_struct registers = {0};
    ptrace(PTRACE_GETREGS, thread->tid, 0, &registers);
    fault->signal = info->si_signo;
    fault->rip = registers.rip;
    fault->address = (uint64_t)info->si_addr;
}

/* Runs the thread to the entry (or, from there, to the exit) of a system call. */
static int run_to_syscall(struct thread *thread, deadline end, struct user_regs_struct *registers,
                          struct fault *fault) {
    for (;;) {
        struct advance step = advance(thread, PTRACE_SYSCALL, end);
        switch (step.stop) {
        case STOP_EVENT: /* a group stop is honoured at the release */
        case STOP_SIGNAL:
            continue;
        case STOP_SYSCALL:
            return ptrace(PTRACE_GETREGS, thread->tid, 0, registers) < 0 ? errno : 0;
        case STOP_FAULT:
            note_fault(thread, &step.info, fault);
            return EFAULT;
        case STOP_FAILED:
            return step.error;
        }
    }
}

static int call_once(struct thread *thread, const struct user_regs_struct *call, long *result,
                     struct fault *fault) {
    struct user_regs_struct registers;
    deadline end = in_milliseconds(CALL_MS);
    int error = set_registers(thread, call);
    if (!error)
        error = block_signals(thread);
    if (!error)
        error = run_to_syscall(thread, end, &registers, fault);
    if (!error && registers.orig_rax != call->rax)
        error = EIO; /* the gadget is no syscall instruction */
    if (!error)
        error = run_to_syscall(thread, end, &registers, fault);
    *result = registers.rax;
    int parked = park(thread);
    return error ? error : parked;
}

/* The command line may die before it can say that the mapping is to be removed. */
static int note_mapping(struct thread *thread, uint64_t gadget, uint64_t number,
                        const uint64_t args[6], long result) {
    bool failed = result < 0 && result >= -4095;
    if (number == SYS_mmap && !failed)
        return scratch_note(thread->tid, gadget, result, args[1]);
    if (number == SYS_munmap && !failed)
        scratch_forget(args[0]);
    return 0;
}

int inject_syscall(struct thread *thread, uint64_t gadget, uint64_t number, const uint64_t args[6],
                   int64_t *result, struct fault *fault) {
    if (number == SYS_mmap && target.scratches == MAX_SCRATCH)
        return ENOSPC;
    int error = engage(thread);
    if (error)
        return error;
    static struct spread spread;
    struct user_regs_struct call = injected_registers(thread);
    call.rip = gadget;
    uint64_t frame = net_spread(thread, &spread);
    if (frame)
        call.rsp = frame;
    call.rax = number;
    call.rdi = args[0];
    call.rsi = args[1];
    call.rdx = args[2];
    call.r10 = args[3];
    call.r8 = args[4];
    call.r9 = args[5];
    long value = 0;
    do
        error = call_once(thread, &call, &value, fault);
    while (!error && is_restart(value));
    if (!error)
        error = note_mapping(thread, gadget, number, args, value);
    *result = value;
    int back = put_back(thread);
    net_gather(&spread);
    return error ? error : back;
}

/* At the entry of a call that must not be made: it is taken away. */
static int cancel_call(struct thread *thread, struct user_regs_struct *registers) {
    registers->orig_rax = -1;
    int error = set_registers(thread, registers);
    return error ? error : park(thread);
}

/* A thread that blocks a signal may be waiting for it: then it is not for another one to take. */
static uint64_t blocked_by_any(void) {
    if (target.masks_read)
        return target.blocked;
    for (size_t i = 0; i < target.count; i++) {
        struct thread *thread = target.threads[i];
        uint64_t mask = thread->mask;
        if (thread->condition != STOPPED)
            continue;
        if (!thread->engaged)
            ptrace(PTRACE_GETSIGMASK, thread->tid, sizeof mask, &mask);
        target.blocked |= mask;
    }
    target.masks_read = true;
    return target.blocked;
}

/*
 * The signal by which a query may say that it is done: one that the kernel drops unless a tracer
 * looks at it, so that it does no harm if we are dead by then. 0: there is none.
 */
static int done_signal(struct thread *thread) {
    static const int candidates[] = {SIGURG, SIGWINCH};
    uint64_t unfit = blocked_by_any() | caught_signals(thread);
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
        if (!(unfit & 1ull << (candidates[i] - 1)))
            return candidates[i];
    return 0;
}

/* Two stops, this one and the one for parking, however many calls the query makes. */
static int run_to_signal(struct thread *thread, deadline end, struct fault *fault) {
    for (;;) {
        struct user_regs_struct registers;
        struct advance step = advance(thread, PTRACE_CONT, end);
        switch (step.stop) {
        case STOP_EVENT: /* a group stop is honoured at the release */
            continue;
        case STOP_SIGNAL: /* another of the same: no thread blocks or handles it, it would be
                             dropped */
            if (ptrace(PTRACE_GETREGS, thread->tid, 0, &registers) < 0)
                return errno;
            if (registers.orig_rax == SYS_tgkill)
                return 0;
            continue;
        case STOP_SYSCALL:
            continue;
        case STOP_FAULT:
            note_fault(thread, &step.info, fault);
            return EFAULT;
        case STOP_FAILED:
            return step.error;
        }
    }
}

/* A stop at the entry and at the exit of each call of the query, up to the one that says so. */
static int run_to_done_call(struct thread *thread, deadline end, struct fault *fault) {
    struct user_regs_struct registers;
    for (bool entry = true;; entry = !entry) {
        int error = run_to_syscall(thread, end, &registers, fault);
        if (error)
            return error;
        if (entry && registers.orig_rax == QUERY_DONE_SYSCALL)
            return cancel_call(thread, &registers);
    }
}

static int run_query(struct thread *thread, uint64_t rip, uint64_t rsp, uint64_t rdi,
                     struct fault *fault) {
    struct user_regs_struct registers = injected_registers(thread);
    registers.rip = rip;
    registers.rsp = rsp;
    registers.rdi = rdi;
    registers.rsi = thread->awaited;
    registers.rax = 0;
    int error = set_registers(thread, &registers);
    if (!error)
        error = block_signals(thread);
    if (error)
        return error;
    deadline end = in_milliseconds(QUERY_MS);
    return thread->awaited ? run_to_signal(thread, end, fault)
                           : run_to_done_call(thread, end, fault);
}

int inject_run(struct thread *thread, uint64_t rip, uint64_t rsp, uint64_t rdi, bool signals,
               struct fault *fault) {
    int error = engage(thread);
    if (error)
        return error;
    thread->awaited = signals ? done_signal(thread) : 0;
    error = run_query(thread, rip, rsp, rdi, fault);
    thread->awaited = 0;
    int parked = park(thread);
    int back = put_back(thread);
    return error ? error : parked ? parked : back;
}
