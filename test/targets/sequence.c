/*
 * A thread in the critical section of a restartable sequence, which it leaves at `go`. Stopped in
 * there it must begin anew: what it commits tells whether the section was still announced to the
 * kernel at its end. It is not, if the thread was set down in the middle of it.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>

struct work {
    uint32_t inside;    /* the section has begun */
    uint32_t released;  /* it may end */
    uint64_t aborts;    /* times that it was begun anew */
    uint64_t committed; /* rseq_cs at its end */
};

static struct work work;
/* What rseq_cs is in the section. */
extern const struct rseq_cs section __attribute__((visibility("hidden")));

__attribute__((noinline)) static void run(struct rseq *area) {
    __asm__ volatile(".pushsection .data.rel.ro, \"aw\"\n"
                     ".balign 32\n"
                     "section: .long 0, 0\n" /* version, flags */
                     ".quad 2f, 4f - 2f, 5f\n"
                     ".popsection\n"
                     "1: lea section(%%rip), %%rax\n"
                     "mov %%rax, %[rseq_cs]\n"
                     "2: movl $1, %[inside]\n"
                     "3: pause\n"
                     "cmpl $0, %[released]\n"
                     "je 3b\n"
                     "mov %[rseq_cs], %%rax\n"
                     "mov %%rax, %[committed]\n"
                     "4: jmp 6f\n"
                     ".byte 0x0f, 0xb9, 0x3d\n" /* ud1, with the signature as its operand */
                     ".long 0x53053053\n"
                     "5: incq %[aborts]\n"
                     "jmp 1b\n"
                     "6:\n"
                     : [rseq_cs] "+m"(area->rseq_cs), [inside] "+m"(work.inside),
                       [aborts] "+m"(work.aborts), [committed] "=m"(work.committed)
                     : [released] "m"(work.released)
                     : "rax", "cc", "memory");
}

static void *start(void *unused) {
    run((struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset));
    return unused;
}

int main(void) {
    if (__rseq_size == 0)
        leave_out("the C library has registered no restartable sequences");
    pthread_t thread;
    NEED(-pthread_create(&thread, NULL, start, NULL));
    while (!__atomic_load_n(&work.inside, __ATOMIC_SEQ_CST))
        sched_yield();
    ready();
    await_go();
    __atomic_store_n(&work.released, 1, __ATOMIC_SEQ_CST);
    NEED(-pthread_join(thread, NULL));
    CHECK(work.aborts > 0, "the section went on, or was never stopped");
    CHECK(work.committed == (uintptr_t)&section,
          "the section was announced as %p, is %lx: the thread was set down in its middle",
          (const void *)&section, work.committed);
    finish();
}
