/* The query: operations run inside a live target at capture. Nothing is printed, nothing is
 * checked. */
#include "interpreter.h"

__attribute__((noreturn)) void load_registers(const uint64_t *registers);
__attribute__((noreturn)) void run_query(const struct query *query, int64_t signal);

/* To itself: a tracer sees it, the kernel drops it otherwise. */
static void say_done(int64_t signal) {
    if (signal)
        CALL3(SYS_tgkill, CALL0(SYS_getpid), CALL0(SYS_gettid), signal);
    else
        CALL0(QUERY_DONE_SYSCALL);
}

void run_query(const struct query *query, int64_t signal) {
    const struct op *ops = (const struct op *)query->ops;
    for (uint32_t i = 0; i < query->count; i++) {
        const struct op *op = &ops[i];
        uint64_t a[6];
        operands(op, a);
        int64_t result = syscall6(op->number, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (op->result)
            *(volatile uint64_t *)op->result = (uint64_t)result;
    }
    say_done(signal);
    /* Here only if the tracer has gone: back to where the thread was. */
    if (query->end == QUERY_END_SIGRETURN)
        sigreturn_on(query->frame);
    CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &query->mask, 0, 8);
    load_registers((const uint64_t *)query->registers);
}
