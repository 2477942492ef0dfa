/*
 * The last act. Each thread ends with rt_sigreturn(2) on a frame in the thaw segments, and these
 * may only go once every thread is behind it. No thread can say so itself, for its next instruction
 * is the program's own. So a helper process that shares the memory drives the other threads by
 * ptrace to the end of that call, and lets them go; then the leader unmaps everything but the page
 * it runs in, and returns to the program, too.
 *
 * Where ptrace is not permitted, the thaw segments stay mapped: the program is none the wiser.
 */
#include "interpreter.h"

enum {
    PTRACE_SYSCALL = 24,
    PTRACE_CONT = 7,
    PTRACE_SEIZE = 0x4206,
    PTRACE_INTERRUPT = 0x4207,
    PTRACE_GET_SYSCALL_INFO = 0x420e,
    PTRACE_O_TRACESYSGOOD = 1,
    PTRACE_EVENT_STOP = 128,
    SYSCALL_ENTRY = 1,
    SYSCALL_EXIT = 2,
    SIGTRAP = 5,
    WALL = 0x40000000,
    PR_SET_PTRACER = 0x59616d61,
    MOST_PAIRS = 8,
    FRAME_FPSTATE = 224, /* in struct ucontext: uc_mcontext.fpstate */
    HELPER_STACK = 4096,
    IN_CALL = 0x100, /* in finish_plan.again, afterwards: at the start of its call */
    SIGNAL_MASK = 0x7f,
};

extern const unsigned char last_code[] __attribute__((visibility("hidden")));
extern const unsigned char last_code_end[] __attribute__((visibility("hidden")));

struct pair {
    uint64_t start, size;
};

struct helper {
    const struct finish_plan *plan;
    int ok;
};

void resume(uint64_t frame, uint32_t *gate) {
    while (!__atomic_load_n(gate, __ATOMIC_SEQ_CST))
        futex_wait(gate, 0);
    touch_tiles(frame);
    sigreturn_on(frame);
}

static void open_gate(const struct finish_plan *plan) {
    uint32_t *gate = (uint32_t *)plan->gate;
    __atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
    futex_wake(gate);
}

static int64_t tid_of(const struct finish_plan *plan, uint64_t i) {
    return *(const int64_t *)((const uint64_t *)plan->threads)[i];
}

static int64_t ptrace(int request, int64_t tid, uint64_t address, uint64_t data) {
    return CALL4(SYS_ptrace, request, tid, address, data);
}

static int wait_for(int64_t tid, int32_t *status) {
    int64_t got;
    do
        got = CALL4(SYS_wait4, tid, status, WALL, 0);
    while (got == -EINTR);
    return got == tid;
}

/* linux/ptrace.h: struct ptrace_syscall_info; the number is that of the entry. */
struct syscall_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t rip, rsp, number, args[6];
};

/*
 * Drives a thread until the system call that it leaves is rt_sigreturn. With `again` it goes on to
 * the start of the call that it had been blocked in: a signal that another thread sends it from
 * then on interrupts that call, as it would have before. A signal that comes first is for the
 * thread to take when it is let go: it is left in `again`.
 */
static int drive(int64_t tid, uint64_t *again) {
    int entered = 0, returned = 0;
    for (;;) {
        int32_t status;
        uint64_t signal = 0;
        if (!wait_for(tid, &status) || (status & 0xff) != 0x7f)
            return 0;
        int stop = status >> 8 & 0xff;
        if (stop == (SIGTRAP | 0x80)) {
            struct syscall_info info = {.op = 0};
            if (failed(ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, (uint64_t)&info)))
                return 0;
            if (info.op == SYSCALL_ENTRY && returned) {
                *again = IN_CALL;
                return 1;
            }
            if (info.op == SYSCALL_ENTRY)
                entered = info.number == SYS_rt_sigreturn;
            else if (info.op == SYSCALL_EXIT && entered) {
                if (!*again)
                    return 1;
                returned = 1;
            }
        } else if (status >> 16 != PTRACE_EVENT_STOP) {
            signal = (uint64_t)stop; /* before rt_sigreturn SIGSTOP only: all others are blocked */
            if (returned) {
                *again = signal;
                return 1;
            }
        }
        if (failed(ptrace(PTRACE_SYSCALL, tid, 0, signal)))
            return 0;
    }
}

static int seize_all(const struct finish_plan *plan) {
    for (uint64_t i = 0; i < plan->thread_count; i++)
        if (failed(ptrace(PTRACE_SEIZE, tid_of(plan, i), 0, PTRACE_O_TRACESYSGOOD)))
            return 0;
    for (uint64_t i = 0; i < plan->thread_count; i++) {
        int32_t status;
        int64_t tid = tid_of(plan, i);
        if (failed(ptrace(PTRACE_INTERRUPT, tid, 0, 0)) || !wait_for(tid, &status) ||
            failed(ptrace(PTRACE_SYSCALL, tid, 0, 0)))
            return 0;
    }
    return 1;
}

static void set_dumpable(const struct finish_plan *plan) {
    CALL5(SYS_prctl, PR_SET_DUMPABLE, plan->dumpable, 0, 0, 0);
}

static void help(void *argument) {
    struct helper *helper = argument;
    const struct finish_plan *plan = helper->plan;
    helper->ok = seize_all(plan);
    if (helper->ok)
        open_gate(plan);
    uint64_t *again = (uint64_t *)plan->again;
    for (uint64_t i = 0; i < plan->thread_count && helper->ok; i++)
        helper->ok = drive(tid_of(plan, i), &again[i]);
    /* It belongs to the memory, which is the helper's, too: set before the program runs again. */
    set_dumpable(plan);
    /* Not PTRACE_DETACH, which raises TIF_SIGPENDING: calls such as epoll_wait would end with
     * EINTR. */
    for (uint64_t i = 0; i < plan->thread_count && helper->ok; i++)
        ptrace(PTRACE_CONT, tid_of(plan, i), 0, again[i] & SIGNAL_MASK);
    /* What is traced runs on by itself when its tracer ends. */
    for (;;)
        CALL1(SYS_exit, 0);
}

/* Lets the other threads go. Returns whether each is known to be behind its rt_sigreturn. */
static int release_threads(const struct finish_plan *plan) {
    unsigned char stack[HELPER_STACK] __attribute__((aligned(16)));
    struct helper helper = {plan, 0};
    int32_t status;
    if (!plan->thread_count) {
        set_dumpable(plan);
        return 1;
    }
    /* Both only for the helper: to be traced takes a process that may be dumped, and with Yama a
     * permission for a tracer that is not an ancestor. */
    CALL5(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    CALL5(SYS_prctl, PR_SET_PTRACER, ~0ull, 0, 0, 0);
    int64_t pid = clone_on(CLONE_VM | CLONE_FS | CLONE_FILES, (uint64_t)(stack + sizeof stack),
                           help, &helper);
    if (!failed(pid))
        wait_for(pid, &status);
    CALL5(SYS_prctl, PR_SET_PTRACER, 0, 0, 0, 0);
    if (failed(pid) || !helper.ok) {
        set_dumpable(plan);
        open_gate(plan);
        return 0;
    }
    for (uint64_t i = 0; i < plan->thread_count; i++)
        if (((const uint64_t *)plan->again)[i] == IN_CALL)
            settle(tid_of(plan, i));
    return 1;
}

/* Leaves out what the kernel's own vDSO still lies in, where it could not take the frozen one's
 * place. */
static uint32_t copy_pairs(const struct finish_plan *plan, struct pair *to) {
    const struct pair *from = (const struct pair *)plan->unmap;
    const uint64_t *parked = header()->parked;
    int stays = has_flag(FLAG_FOREIGN_VDSO) && header()->sysinfo_ehdr;
    uint32_t count = 0;
    for (uint64_t i = 0; i < plan->unmap_count && count < MOST_PAIRS - 1; i++) {
        uint64_t start = from[i].start, end = start + from[i].size;
        if (stays && parked[0] >= start && parked[2] <= end) {
            if (parked[0] > start)
                to[count++] = (struct pair){start, parked[0] - start};
            start = parked[2];
        }
        if (end > start)
            to[count++] = (struct pair){start, end - start};
    }
    return count;
}

int64_t finish(const struct finish_plan *plan) {
    uint64_t code_size = (uint64_t)(last_code_end - last_code);
    unsigned char *page = (unsigned char *)plan->page;
    copy(page, (const void *)plan->template, plan->template_size);
    copy(page + plan->frame_offset, (const void *)plan->frame, plan->frame_size);
    *(uint64_t *)(page + plan->frame_offset + FRAME_FPSTATE) +=
        plan->page + plan->frame_offset - plan->frame;
    copy(page + plan->code_offset, last_code, code_size);
    struct pair *pairs = (struct pair *)(page + plan->code_offset + code_size);
    uint32_t count = copy_pairs(plan, pairs);
    int64_t result = CALL3(SYS_mprotect, page, plan->page_size, PROT_READ | PROT_EXEC);
    if (failed(result))
        return result;
    uint64_t frame = plan->page + plan->frame_offset;
    touch_tiles(frame);
    int behind = release_threads(plan);
    leave(plan->page + plan->code_offset, behind ? count : 0, frame);
}
