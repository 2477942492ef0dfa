#include "tracer.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

_Static_assert(sizeof(struct user_regs_struct) == REGISTERS_SIZE, "protocol.h");
_Static_assert(sizeof(siginfo_t) == SIGINFO_SIZE, "protocol.h");

size_t read_xstate(pid_t tid, void *buffer, size_t size) {
    struct iovec xstate = {buffer, size};
    return ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &xstate) < 0 ? 0 : xstate.iov_len;
}

/* Signals that wait for delivery, without taking them. *siginfos is malloced. */
int read_pending(pid_t tid, bool shared, uint8_t **siginfos, uint32_t *count) {
    enum { BATCH = 64 };
    struct __ptrace_peeksiginfo_args args = {.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
                                             .nr = BATCH};
    *siginfos = NULL;
    *count = 0;
    for (;;) {
        uint8_t *grown = realloc(*siginfos, (*count + BATCH) * (size_t)SIGINFO_SIZE);
        if (!grown)
            return ENOMEM;
        *siginfos = grown;
        args.off = *count;
        long got = ptrace(PTRACE_PEEKSIGINFO, tid, &args, grown + *count * (size_t)SIGINFO_SIZE);
        if (got < 0)
            return errno;
        *count += got;
        if (got < BATCH)
            return 0;
    }
}

static void read_rseq(pid_t tid, struct state *state) {
    struct __ptrace_rseq_configuration rseq = {0};
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof rseq, &rseq) < 0)
        return; /* before Linux 5.13 */
    state->rseq_address = rseq.rseq_abi_pointer;
    state->rseq_length = rseq.rseq_abi_size;
    state->rseq_signature = rseq.signature;
}

int read_state(struct thread *thread, struct state *state, void *xstate, uint8_t **pending) {
    memset(state, 0, sizeof *state);
    memcpy(state->registers, &thread->found, sizeof state->registers);
    state->group_stopped = thread->group_stopped;
    read_rseq(thread->tid, state);
    uint64_t dispatch[4];
    state->dispatches = thread->engaged ? thread->dispatches : read_dispatch(thread->tid, dispatch);
    if (thread->engaged) {
        state->mask = thread->mask;
        state->xstate_size = thread->xstate_size;
        memcpy(xstate, thread->xstate, thread->xstate_size);
    } else {
        if (ptrace(PTRACE_GETSIGMASK, thread->tid, sizeof state->mask, &state->mask) < 0)
            return errno;
        state->xstate_size = read_xstate(thread->tid, xstate, MAX_XSTATE);
        if (state->xstate_size == 0)
            return errno;
    }
    return read_pending(thread->tid, false, pending, &state->pending);
}
