/*
 * The vDSO: found through the auxiliary vector, its functions give what the system calls give, and
 * they do it without a system call (they are several times faster, unless they were not before).
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int clock_function(clockid_t, struct timespec *);
typedef int time_function(struct timeval *, void *);
typedef long cpu_function(unsigned *, unsigned *, void *);

static void *find(const char *name) {
    const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
    if (base == NULL)
        leave_out("this kernel has no vDSO");
    const Elf64_Ehdr *file = (const void *)base;
    const Elf64_Phdr *segments = (const void *)(base + file->e_phoff);
    const Elf64_Sym *symbols = NULL;
    const char *strings = NULL;
    const Elf64_Word *hash = NULL;
    CHECK(memcmp(file->e_ident, ELFMAG, SELFMAG) == 0, "no ELF file at AT_SYSINFO_EHDR");
    for (int i = 0; i < file->e_phnum; i++) {
        if (segments[i].p_type != PT_DYNAMIC)
            continue;
        for (const Elf64_Dyn *entry = (const void *)(base + segments[i].p_offset);
             entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_SYMTAB)
                symbols = (const void *)(base + entry->d_un.d_ptr);
            if (entry->d_tag == DT_STRTAB)
                strings = base + entry->d_un.d_ptr;
            if (entry->d_tag == DT_HASH)
                hash = (const void *)(base + entry->d_un.d_ptr);
        }
    }
    /* Newer vDSOs have only DT_GNU_HASH: the string table follows the symbols. */
    size_t count = hash != NULL ? hash[1] : (size_t)((const Elf64_Sym *)strings - symbols);
    for (size_t i = 0; i < count; i++)
        if (strcmp(strings + symbols[i].st_name, name) == 0)
            return (void *)(base + symbols[i].st_value);
    return NULL;
}

static int64_t nanoseconds(const struct timespec *time) {
    return time->tv_sec * 1000000000 + time->tv_nsec;
}

/* Least time of a call in many rounds: noise only ever adds. */
static int64_t cost(clock_function *function) {
    int64_t best = INT64_MAX;
    for (int round = 0; round < 300; round++) {
        struct timespec from, to, time;
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &from);
        for (int i = 0; i < 100; i++)
            function(CLOCK_MONOTONIC, &time);
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &to);
        int64_t elapsed = nanoseconds(&to) - nanoseconds(&from);
        best = elapsed < best ? elapsed : best;
    }
    return best;
}

static int by_call(clockid_t clock, struct timespec *time) {
    return (int)syscall(SYS_clock_gettime, clock, time);
}

static bool is_fast(clock_function *function) {
    return cost(function) * 3 < cost(by_call) * 2;
}

int main(void) {
    clock_function *gettime = (clock_function *)find("__vdso_clock_gettime");
    clock_function *getres = (clock_function *)find("__vdso_clock_getres");
    time_function *timeofday = (time_function *)find("__vdso_gettimeofday");
    cpu_function *getcpu = (cpu_function *)find("__vdso_getcpu");
    bool fast = is_fast(gettime);
    self_take();
    ready();
    await_go();
    self_compare(false);
    CHECK(find("__vdso_clock_gettime") == (void *)gettime, "the vDSO has moved");
    static const clockid_t clocks[] = {CLOCK_REALTIME,        CLOCK_MONOTONIC,
                                       CLOCK_BOOTTIME,        CLOCK_TAI,
                                       CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec first, between, last;
        syscall(SYS_clock_gettime, clocks[i], &first);
        CHECK(gettime(clocks[i], &between) == 0, "clock_gettime(%d) fails", clocks[i]);
        syscall(SYS_clock_gettime, clocks[i], &last);
        CHECK(nanoseconds(&first) <= nanoseconds(&between) &&
                  nanoseconds(&between) <= nanoseconds(&last),
              "clock %d: the vDSO says %lld, the kernel %lld to %lld", clocks[i],
              (long long)nanoseconds(&between), (long long)nanoseconds(&first),
              (long long)nanoseconds(&last));
    }
    struct timespec resolution;
    struct timeval day;
    unsigned cpu = ~0u, node;
    if (getres != NULL)
        CHECK(getres(CLOCK_MONOTONIC, &resolution) == 0, "clock_getres fails");
    if (timeofday != NULL)
        CHECK(timeofday(&day, NULL) == 0 && day.tv_sec > 1700000000, "gettimeofday fails");
    if (getcpu != NULL)
        CHECK(getcpu(&cpu, &node, NULL) == 0 && cpu < 4096, "getcpu fails");
    if (fast)
        CHECK(is_fast(gettime), "clock_gettime has become as slow as a system call");
    finish();
}
