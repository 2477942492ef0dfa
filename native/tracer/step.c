#include "tracer.h"

#include <errno.h>
#include <sys/ptrace.h>

/*
 * The trap of a single step is a forced SIGTRAP: if the thread blocks or ignores that signal, the
 * kernel would set its action back to the default.
 */
static bool may_trap(pid_t tid) {
    const uint64_t trap = 1ull << (SIGTRAP - 1);
    uint64_t blocked = 0;
    uint64_t ignored = 0;
    return status_field(tid, "SigBlk", 16, &blocked) && status_field(tid, "SigIgn", 16, &ignored) &&
           !((blocked | ignored) & trap);
}

/* One instruction. Returns whether it ran; a fault of the thread's own is left for it to meet
 * again. */
static bool step(struct thread *thread, deadline end, int *error) {
    for (;;) {
        struct advance result = advance(thread, PTRACE_SINGLESTEP, end);
        switch (result.stop) {
        case STOP_EVENT: /* before the instruction */
            continue;
        case STOP_FAULT:
            return result.info.si_signo == SIGTRAP;
        case STOP_SYSCALL:
        case STOP_SIGNAL:
            return false;
        case STOP_FAILED:
            *error = result.error;
            return false;
        }
    }
}

static bool is_within(uint64_t rip, uint64_t start, uint64_t end) {
    return rip >= start && rip < end;
}

int step_out(struct thread *thread, uint64_t start, uint64_t end, uint64_t limit, bool *out) {
    struct user_regs_struct registers = thread->found;
    *out = !is_within(registers.rip, start, end);
    if (*out || !may_trap(thread->tid))
        return 0;
    int error = engage(thread);
    if (!error && thread->changed && ptrace(PTRACE_SETREGS, thread->tid, 0, &thread->released) < 0)
        error = errno;
    deadline latest = in_milliseconds(10000);
    for (uint64_t i = 0; i < limit && !error && !*out && step(thread, latest, &error); i++) {
        if (ptrace(PTRACE_GETREGS, thread->tid, 0, &registers) < 0)
            error = errno;
        *out = !is_within(registers.rip, start, end);
    }
    int parked = park(thread);
    if (!parked && ptrace(PTRACE_GETREGS, thread->tid, 0, &registers) == 0)
        note_registers(thread, &registers);
    if (!parked)
        keep_xstate(thread);
    int back = put_back(thread);
    return error ? error : parked ? parked : back;
}
