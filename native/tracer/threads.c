#include "tracer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct target target;

/* Indexed by tid; only the pages that are used take memory. PID_MAX_LIMIT of linux/threads.h. */
#define MAX_TID (4 * 1024 * 1024)
static struct thread *by_tid[MAX_TID + 1];

struct thread *thread_find(pid_t tid) {
    return tid > 0 && tid <= MAX_TID ? by_tid[tid] : NULL;
}

struct thread *thread_ensure(pid_t tid) {
    if (tid <= 0 || tid > MAX_TID)
        return NULL;
    if (by_tid[tid] && by_tid[tid]->condition != GONE) /* else the id is used anew */
        return by_tid[tid];
    struct thread **threads = realloc(target.threads, (target.count + 1) * sizeof *threads);
    if (!threads)
        return NULL;
    target.threads = threads;
    struct thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    thread->tid = tid;
    threads[target.count++] = thread;
    by_tid[tid] = thread;
    return thread;
}

void threads_forget(void) {
    for (size_t i = 0; i < target.count; i++) {
        by_tid[target.threads[i]->tid] = NULL;
        free(target.threads[i]->xstate);
        free(target.threads[i]);
    }
    free(target.threads);
    memset(&target, 0, sizeof target);
}

/* What follows the name in a thread's stat; NULL where there is none. */
static const char *read_stat(pid_t tid, char stat[512]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", target.pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t size = read(fd, stat, 511);
    close(fd);
    if (size <= 0)
        return NULL;
    stat[size] = 0;
    const char *end = strrchr(stat, ')'); /* the name before it may hold anything */
    return end ? end + 2 : NULL;
}

char thread_state(pid_t tid) {
    char stat[512];
    const char *state = read_stat(tid, stat);
    return state ? *state : 0;
}

/* PF_IO_WORKER of linux/sched.h. */
#define IO_WORKER 0x10

bool thread_is_worker(pid_t tid) {
    char stat[512];
    unsigned flags;
    const char *state = read_stat(tid, stat);
    return state && sscanf(state, "%*c %*d %*d %*d %*d %*d %u", &flags) == 1 && flags & IO_WORKER;
}

bool thread_is_dead(pid_t tid) {
    char state = thread_state(tid);
    return state == 0 || state == 'Z' || state == 'X';
}
