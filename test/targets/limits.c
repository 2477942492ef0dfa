/*
 * Lives at its limits: limits none|stack|tight|locked.
 *   stack   uses 6 MiB of its stack only after it is resumed
 *   tight   its address space and data may grow by no more than the freeze needs
 *   locked  has 4 MiB locked in memory
 */
#include "support/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LOCKED = 4 << 20, DEEP = 6 << 20, FREEZE = 96 << 10, RESERVED = 16 << 20 };

static struct rlimit before[RLIM_NLIMITS];
static unsigned char locked[LOCKED] __attribute__((aligned(4096)));

static rlim_t address_space(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu", &pages) != 1)
        need(-1, "statm");
    fclose(file);
    return pages * 4096;
}

static void tighten(void) {
    rlim_t size = address_space() + FREEZE;
    struct rlimit space = {size, size}, data = {size, size};
    NEED(setrlimit(RLIMIT_AS, &space));
    NEED(setrlimit(RLIMIT_DATA, &data));
}

__attribute__((noinline)) static void use_stack(void) {
    volatile unsigned char deep[DEEP];
    for (size_t i = sizeof deep; i > 0; i -= 4096)
        deep[i - 1] = 1;
    CHECK(deep[sizeof deep - 1] == 1, "the stack does not hold what is written");
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "none";
    int is_tight = strcmp(what, "tight") == 0;
    NEED(mmap(0, RESERVED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
              0));
    if (strcmp(what, "locked") == 0) {
        fill(locked, sizeof locked, 1);
        NEED(mlock(locked, sizeof locked));
    }
    if (is_tight)
        tighten();
    for (int i = 0; i < RLIM_NLIMITS; i++)
        NEED(getrlimit((__rlimit_resource_t)i, &before[i]));
    ready();
    await_go();
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit now;
        NEED(getrlimit((__rlimit_resource_t)i, &now));
        /* A hard limit may be lower now. */
        rlim_t soft = before[i].rlim_cur < now.rlim_max ? before[i].rlim_cur : now.rlim_max;
        CHECK(now.rlim_cur == soft, "soft limit %d is %lu instead of %lu", i, now.rlim_cur, soft);
    }
    if (is_tight)
        CHECK(mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                  MAP_FAILED,
              "memory beyond the limit can be had");
    if (strcmp(what, "locked") == 0)
        verify("locked memory", locked, sizeof locked, 1);
    if (strcmp(what, "stack") == 0)
        use_stack();
    finish();
}
