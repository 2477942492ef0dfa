/*
 * What a process can choose about itself by system calls that few programs make: each a row with
 * how it is set and how it is read. What this machine does not offer reads the same before and
 * after.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    IOPRIO_BEST_EFFORT_6 = 2 << 13 | 6,
    MAP_DROPPABLE_ = 0x8,
    MEMORY_MERGE = 67,
    MDWE = 65,
    MSEAL = 462
};

static char *sealed, *droppable;

static long mapping(int type) {
    return (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, type | MAP_ANONYMOUS, -1, 0);
}

static void set_io_priority(void) {
    syscall(SYS_ioprio_set, 1, 0, IOPRIO_BEST_EFFORT_6);
}
static long io_priority(void) {
    return syscall(SYS_ioprio_get, 1, 0);
}

static void set_policy(void) {
    struct sched_param none = {0};
    sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none);
}
static long policy(void) {
    return sched_getscheduler(0);
}

static void set_machine_checks(void) {
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}
static long machine_checks(void) {
    return prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
}

static void forbid_time_stamps(void) {
    prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
}
static long time_stamps(void) {
    int value = -1;
    return prctl(PR_GET_TSC, &value, 0, 0, 0) == 0 ? value : -1;
}

static void merge_memory(void) {
    prctl(MEMORY_MERGE, 1, 0, 0, 0);
}
static long merges_memory(void) {
    return prctl(MEMORY_MERGE + 1, 0, 0, 0, 0);
}

static void forbid_new_code(void) {
    prctl(MDWE, 1, 0, 0, 0);
}
static long new_code(void) {
    char *page = (char *)mapping(MAP_PRIVATE);
    long result = mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0 ? 0 : -errno;
    munmap(page, PAGE);
    return result;
}

static void filter_core_files(void) {
    int fd = open("/proc/self/coredump_filter", O_WRONLY);
    NEED(fd);
    NEED(write(fd, "0x27", 4));
    close(fd);
}

static void keep_capabilities(void) {
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
}
static long kept_capabilities(void) {
    return prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
}

/* Linux 6.18: huge pages only where they are advised. */
static void forbid_huge_pages(void) {
    prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0);
}
static long huge_pages(void) {
    return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
}

/* No UTF-8, and its last character is cut off. */
static void set_name(void) {
    prctl(PR_SET_NAME, "\xff\x80 to\xc3\xa9\xed\xb2\x80 long \xc3\xa9");
}
static long name(void) {
    char text[16] = {0};
    long sum = 0;
    prctl(PR_GET_NAME, text);
    for (size_t i = 0; i < sizeof text; i++)
        sum = sum * 31 + (unsigned char)text[i];
    return sum;
}

static void seal(void) {
    sealed = (char *)mapping(MAP_PRIVATE);
    fill(sealed, PAGE, 1);
    syscall(MSEAL, sealed, PAGE, 0);
}
static long is_sealed(void) {
    long result = mprotect(sealed, PAGE, PROT_READ) == 0 ? 0 : -errno;
    if (result == 0)
        NEED(mprotect(sealed, PAGE, PROT_READ | PROT_WRITE));
    return result;
}

static void map_droppable(void) {
    droppable = (char *)mapping(MAP_DROPPABLE_);
    if (droppable != MAP_FAILED)
        fill(droppable, PAGE, 2);
}
static long is_droppable(void) {
    char flags[160];
    if (droppable == MAP_FAILED)
        return -1;
    region_flags(droppable, flags, sizeof flags);
    return strstr(flags, "dp") != NULL;
}

/* The last: it is about what is mapped from then on. */
static void lock_what_comes(void) {
    mlockall(MCL_FUTURE | MCL_ONFAULT);
}
static long is_locked(void) {
    char flags[160];
    char *page = (char *)mapping(MAP_PRIVATE);
    region_flags(page, flags, sizeof flags);
    munmap(page, PAGE);
    return (strstr(flags, "lo") != NULL) + 2 * (strstr(flags, "lf") != NULL);
}

static const struct {
    const char *name;
    void (*set)(void);
    long (*get)(void);
} rows[] = {
    {"I/O priority", set_io_priority, io_priority},
    {"scheduling policy", set_policy, policy},
    {"machine checks", set_machine_checks, machine_checks},
    {"time stamp counter", forbid_time_stamps, time_stamps},
    {"merging of memory", merge_memory, merges_memory},
    {"new code", forbid_new_code, new_code},
    {"core files", filter_core_files, NULL}, /* support/self.c compares it */
    {"kept capabilities", keep_capabilities, kept_capabilities},
    {"huge pages", forbid_huge_pages, huge_pages},
    {"name", set_name, name},
    {"seal", seal, is_sealed},
    {"droppable memory", map_droppable, is_droppable},
    {"locks on future memory", lock_what_comes, is_locked},
};
enum { ROWS = sizeof rows / sizeof *rows };

int main(void) {
    long was[ROWS] = {0};
    for (int i = 0; i < ROWS; i++)
        rows[i].set();
    for (int i = 0; i < ROWS; i++)
        if (rows[i].get != NULL)
            was[i] = rows[i].get();
    self_take();
    ready();
    await_go();
    self_compare(false);
    for (int i = 0; i < ROWS; i++) {
        long is = rows[i].get == NULL ? was[i] : rows[i].get();
        CHECK(is == was[i], "%s was %ld, is %ld", rows[i].name, was[i], is);
    }
    verify("sealed memory", sealed, PAGE, 1);
    if (droppable != MAP_FAILED)
        if (droppable[0] != 0 || memcmp(droppable, droppable + 1, PAGE - 1) != 0) /* not dropped */
            verify("droppable memory", droppable, PAGE, 2);
    finish();
}
