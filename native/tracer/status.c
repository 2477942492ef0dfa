#include "tracer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after "Name:\t" in the text. */
static bool parse_field(const char *text, const char *name, int base, uint64_t *value) {
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            *value = strtoull(line + length + 1, NULL, base);
            return true;
        }
    }
    return false;
}

bool status_field(pid_t tid, const char *name, int base, uint64_t *value) {
    char path[64];
    char text[8192];
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", target.pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t size = 0;
    ssize_t count;
    while ((count = read(fd, text + size, sizeof text - 1 - size)) > 0)
        size += count;
    close(fd);
    text[size] = 0;
    return parse_field(text, name, base, value);
}

static void read_facts(struct thread *thread) {
    if (thread->facts_read)
        return;
    status_field(thread->tid, "Seccomp", 10, &thread->seccomp);
    status_field(thread->tid, "SigCgt", 16, &thread->caught);
    thread->facts_read = true;
}

bool has_seccomp_filter(struct thread *thread) {
    read_facts(thread);
    return thread->seccomp != 0;
}

uint64_t caught_signals(struct thread *thread) {
    read_facts(thread);
    return thread->caught;
}

bool thread_is_ours(pid_t tid) {
    uint64_t tracer;
    return status_field(tid, "TracerPid", 10, &tracer) && tracer == (uint64_t)getpid();
}
