#define _GNU_SOURCE
#include "self.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CAPACITY = 1 << 20, MAPS = 0 };

/* Files of /proc/self that must read the same, byte by byte; the maps come first, on their own. */
static const char *const files[] = {
    "maps",        "limits",        "cmdline",       "environ",         "comm",   "auxv",
    "personality", "oom_score_adj", "timerslack_ns", "coredump_filter", "status", "stat"};
enum { FILES = sizeof files / sizeof *files };

static const char *const status_lines[] = {
    "Name",   "Umask",  "Uid",     "Gid",    "Groups",     "Threads",      "SigPnd",
    "ShdPnd", "SigBlk", "SigIgn",  "SigCgt", "CapInh",     "CapPrm",       "CapEff",
    "CapBnd", "CapAmb", "Seccomp", "VmLck",  "NoNewPrivs", "Cpus_allowed", "THP_enabled"};

/* Fields of /proc/self/stat by their number in proc(5). */
static const struct {
    int number;
    const char *name;
} stat_fields[] = {
    {18, "priority"},   {19, "nice"},       {20, "num_threads"}, {26, "startcode"},
    {27, "endcode"},    {28, "startstack"}, {40, "rt_priority"}, {41, "policy"},
    {45, "start_data"}, {46, "end_data"},   {47, "start_brk"},   {48, "arg_start"},
    {49, "arg_end"},    {50, "env_start"},  {51, "env_end"},
};

static char *before[FILES], *after;
static size_t before_length[FILES];
static char cwd_before[4096];

size_t slurp(const char *path, char *buffer, size_t capacity) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        buffer[0] = 0;
        return 0;
    }
    size_t length = 0;
    for (;;) {
        ssize_t got = read(fd, buffer + length, capacity - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    close(fd);
    buffer[length] = 0;
    return length;
}

void status_value(const char *status, const char *name, char *value, size_t capacity) {
    size_t name_length = strlen(name);
    value[0] = 0;
    for (const char *line = status; line != NULL && *line != 0;) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, name, name_length) == 0 && line[name_length] == ':') {
            const char *from = line + name_length + 1;
            from += strspn(from, " \t");
            size_t length = end == NULL ? strlen(from) : (size_t)(end - from);
            if (length >= capacity)
                length = capacity - 1;
            memcpy(value, from, length);
            value[length] = 0;
            return;
        }
        line = end == NULL ? NULL : end + 1;
    }
}

static void stat_value(const char *stat, int number, char *value, size_t capacity) {
    const char *at = strrchr(stat, ')');
    for (int field = 2; at != NULL && field < number; field++)
        at = strchr(at + 1, ' ');
    size_t length = at == NULL ? 0 : strcspn(at + 1, " \n");
    if (length >= capacity)
        length = capacity - 1;
    memcpy(value, at == NULL ? "" : at + 1, length);
    value[length] = 0;
}

static void allocate(void) {
    if (after != NULL)
        return;
    char *memory = mmap(NULL, (size_t)CAPACITY * (FILES + 1), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED((intptr_t)memory);
    for (int i = 0; i < FILES; i++)
        before[i] = memory + (size_t)CAPACITY * (size_t)i;
    after = memory + (size_t)CAPACITY * FILES;
}

void region_flags(const void *address, char *flags, size_t capacity) {
    char wanted[32];
    int length = snprintf(wanted, sizeof wanted, "%08lx-", (unsigned long)address);
    flags[0] = 0;
    allocate();
    slurp("/proc/self/smaps", after, CAPACITY);
    for (char *line = after; line != NULL && *line != 0; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, wanted, (size_t)length) != 0)
            continue;
        char *value = strstr(line, "VmFlags: ");
        if (value != NULL)
            snprintf(flags, capacity, "%.*s", (int)strcspn(value + 9, "\n"), value + 9);
        return;
    }
}

void self_take(void) {
    char path[64];
    allocate();
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", files[i]);
        before_length[i] = slurp(path, before[i], CAPACITY);
    }
    NEED(readlink("/proc/self/cwd", cwd_before, sizeof cwd_before - 1));
}

/* One line of maps: the range and the permissions; false at the end. */
struct range {
    uintptr_t start, end;
    char permissions[5];
};
static bool next_range(const char **at, struct range *range) {
    if (*at == NULL ||
        sscanf(*at, "%lx-%lx %4s", &range->start, &range->end, range->permissions) != 3)
        return false;
    *at = strchr(*at, '\n');
    *at = *at == NULL ? NULL : *at + 1;
    return true;
}

/* Neighbours with equal permissions as one. */
static bool next_run(const char **at, struct range *range) {
    if (!next_range(at, range))
        return false;
    for (;;) {
        const char *peek = *at;
        struct range next;
        if (!next_range(&peek, &next) || next.start != range->end ||
            strcmp(next.permissions, range->permissions) != 0)
            return true;
        range->end = next.end;
        *at = peek;
    }
}

/* The kernel's data pages beside the vDSO are the thawing machine's own; a stack grows by use. */
static void drop_lines(char *maps, const char *name) {
    char *to = maps;
    for (char *line = maps; *line != 0;) {
        char *end = strchr(line, '\n');
        size_t length = end == NULL ? strlen(line) : (size_t)(end - line) + 1;
        char *found = memmem(line, length, name, strlen(name));
        if (found == NULL) {
            memmove(to, line, length);
            to += length;
        }
        line += length;
    }
    *to = 0;
}

static void compare_maps(bool exact) {
    bool (*next)(const char **, struct range *) = exact ? next_range : next_run;
    if (!exact) {
        drop_lines(before[MAPS], "[vvar");
        drop_lines(after, "[vvar");
    }
    drop_lines(before[MAPS], "[stack]");
    drop_lines(after, "[stack]");
    const char *was = before[MAPS], *is = after;
    struct range old, new;
    int trampolines = 0;
    bool have_old = next(&was, &old), have_new = next(&is, &new);
    while (have_old || have_new) {
        if (have_old && have_new &&
            old.start == new.start &&old.end ==
                new.end &&strcmp(old.permissions, new.permissions) == 0) {
            have_old = next(&was, &old);
            have_new = next(&is, &new);
        } else if (have_new && (!have_old || new.end <= old.start)) {
            if (new.end - new.start > 4096 || ++trampolines > 1)
                fail("maps: new region %lx-%lx %s", new.start, new.end, new.permissions);
            have_new = next(&is, &new);
        } else if (have_old && (!have_new || old.end <= new.start)) {
            fail("maps: lost region %lx-%lx %s", old.start, old.end, old.permissions);
            have_old = next(&was, &old);
        } else {
            fail("maps: region %lx-%lx %s is now %lx-%lx %s", old.start, old.end, old.permissions,
                 new.start, new.end, new.permissions);
            have_old = next(&was, &old);
            have_new = next(&is, &new);
        }
    }
}

static void compare_status(const char *old, const char *new) {
    char was[2048], is[2048];
    for (size_t i = 0; i < sizeof status_lines / sizeof *status_lines; i++) {
        status_value(old, status_lines[i], was, sizeof was);
        status_value(new, status_lines[i], is, sizeof is);
        CHECK(strcmp(was, is) == 0, "status: %s was %s, is %s", status_lines[i], was, is);
    }
}

static void compare_stat(const char *old, const char *new) {
    char was[32], is[32];
    for (size_t i = 0; i < sizeof stat_fields / sizeof *stat_fields; i++) {
        stat_value(old, stat_fields[i].number, was, sizeof was);
        stat_value(new, stat_fields[i].number, is, sizeof is);
        CHECK(strcmp(was, is) == 0, "stat: %s was %s, is %s", stat_fields[i].name, was, is);
    }
}

void self_compare(bool exact_maps) {
    char path[64], cwd[4096] = {0};
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", files[i]);
        size_t length = slurp(path, after, CAPACITY);
        if (i == MAPS)
            compare_maps(exact_maps);
        else if (strcmp(files[i], "status") == 0)
            compare_status(before[i], after);
        else if (strcmp(files[i], "stat") == 0)
            compare_stat(before[i], after);
        else if (length != before_length[i] || memcmp(before[i], after, length) != 0)
            fail("%s: was \"%.80s\", is \"%.80s\"", files[i], before[i], after);
    }
    if (readlink("/proc/self/cwd", cwd, sizeof cwd - 1) < 0 || strcmp(cwd, cwd_before) != 0)
        fail("cwd was %s, is %s", cwd_before, cwd);
}
