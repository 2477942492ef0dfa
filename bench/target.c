/*
 * target BYTES REGIONS THREADS DESCRIPTORS: a process of that size. Its first thread does nothing
 * but look at the clock, and says so each time that it could not: "gap FROM TO", in nanoseconds.
 * How long a process was held, and when a thawed one went on, is thus seen from inside.
 */
#define _GNU_SOURCE
#include "clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PAGE = 4096, SHORTEST_GAP = 200000, STACK = 64 << 10 };

static void check(int good, const char *what) {
    if (good)
        return;
    perror(what);
    exit(2);
}

static void *map(size_t size, int prot) {
    void *memory = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "mmap");
    return memory;
}

/* xorshift64*: fast, and no two pages are alike. */
static void fill(uint64_t *words, size_t size) {
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < size / sizeof *words; i++) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        words[i] = state * 2685821657736338717u;
    }
}

/* Neighbours differ in protection, or the kernel would join them. */
static void add_regions(long count) {
    if (count == 0)
        return;
    char *memory = map((size_t)count * PAGE, PROT_READ | PROT_WRITE);
    for (long i = 0; i < count; i++) {
        memory[i * PAGE] = 1;
        if (i % 2)
            check(mprotect(memory + i * PAGE, PAGE, PROT_READ) == 0, "mprotect");
    }
}

static void *sleep_on(void *unused) {
    for (;;)
        pause();
    return unused;
}

static void add_threads(long count) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        check(pthread_create(&thread, &attributes, sleep_on, NULL) == 0, "pthread_create");
    }
}

/* In turn: a file, a duplicate of it, an event counter, and a pipe's two ends. */
static void add_descriptors(long count) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (long i = 0; i < count; i += 5) {
        int ends[2], file = open("/proc/self/exe", O_RDONLY);
        check(file >= 0 && dup(file) >= 0 && eventfd(0, 0) >= 0 && pipe(ends) == 0, "open");
    }
}

int main(int argc, char **argv) {
    check(argc == 5 && close_range(3, ~0u, 0) == 0, "usage: target BYTES REGIONS THREADS FDS");
    size_t size = strtoull(argv[1], NULL, 10);
    if (size > 0)
        fill(map(size, PROT_READ | PROT_WRITE), size);
    add_regions(atol(argv[2]));
    add_threads(atol(argv[3]));
    add_descriptors(atol(argv[4]));
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (uint64_t last = now();;) {
        uint64_t time = now();
        if (time - last > SHORTEST_GAP)
            printf("gap %lu %lu\n", last, time);
        last = time;
    }
}
