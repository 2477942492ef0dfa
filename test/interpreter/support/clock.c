/*
 * Run by a test as the process that was thawed: calls the vDSO through addresses it was given, and
 * prints what came back. The words at `parameters` are filled in by the test.
 */
#include <stdint.h>

typedef int (*clock_gettime_t)(int, int64_t *);
typedef int64_t (*time_t_t)(int64_t *);
typedef int (*getcpu_t)(uint32_t *, uint32_t *, void *);

struct parameters {
    clock_gettime_t clock_gettime;
    time_t_t time;
    getcpu_t getcpu;
    int64_t wait;
};

static long call3(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

__attribute__((section(".text.start"), noreturn)) void start(const struct parameters *p) {
    int64_t out[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    uint32_t cpu = 99999, node = 99999;
    int64_t kernel[2];
    out[0] = p->clock_gettime ? p->clock_gettime(1, &out[1]) : -1;
    call3(228, 1, (long)kernel, 0);
    out[3] = (kernel[0] - out[1]) * 1000000000 + (kernel[1] - out[2]);
    out[4] = p->time ? p->time(0) : -1;
    out[5] = p->getcpu ? p->getcpu(&cpu, &node, 0) : -1;
    out[6] = cpu;
    call3(1, 1, (long)out, sizeof out);
    if (p->wait)
        call3(34, 0, 0, 0); /* pause */
    for (;;)
        call3(231, 0, 0, 0);
}
