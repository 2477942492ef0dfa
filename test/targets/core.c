/*
 * What every program is made of, for every way to link it: text, data, bss, heap, stack, threads
 * that count, the clock through the vDSO. The main thread is blocked in read(2).
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 3, BLOCKS = 200, DATA = 20000 };

static unsigned char data[DATA] = {1};
static unsigned char bss[DATA];
static unsigned char *blocks[BLOCKS];
static _Thread_local uint64_t own = 42;
extern const char __executable_start, etext;

/* Counts on; the chain of all numbers so far shows a gap or a repeat. */
struct counter {
    pthread_t thread;
    atomic_ullong count;
    uint64_t chain;
};
static struct counter counters[WORKERS];
static atomic_bool stop;

static uint64_t append(uint64_t chain, uint64_t number) {
    return (chain ^ number) * 0x9e3779b97f4a7c15u + (chain >> 29);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static void *count(void *argument) {
    struct counter *self = argument;
    int64_t last = now();
    own += (uint64_t)(self - counters);
    while (!atomic_load(&stop)) {
        uint64_t number = atomic_load(&self->count) + 1;
        self->chain = append(self->chain, number);
        atomic_store(&self->count, number);
        int64_t time = now();
        if (time < last) {
            fail("CLOCK_MONOTONIC went back from %lld to %lld", (long long)last, (long long)time);
            break;
        }
        last = time;
        if (number % 64 == 0)
            sched_yield();
    }
    CHECK(own == 42 + (uint64_t)(self - counters), "thread-local variable lost");
    return NULL;
}

/* Every frame holds a pattern that is checked on the way back. */
__attribute__((noinline)) static uint64_t recurse(int depth) {
    unsigned char frame[4096];
    fill(frame, sizeof frame, (uint64_t)depth);
    uint64_t sum = depth == 0 ? 0 : recurse(depth - 1);
    verify("stack frame", frame, sizeof frame, (uint64_t)depth);
    return sum + frame[7];
}

static void check_heap(void) {
    for (int i = 0; i < BLOCKS; i++)
        verify("malloc block", blocks[i], 1000, (uint64_t)i);
    for (int i = 0; i < BLOCKS; i += 2)
        free(blocks[i]);
    for (int i = 0; i < BLOCKS; i += 2) {
        blocks[i] = malloc(3000);
        fill(blocks[i], 3000, (uint64_t)i);
    }
    for (int i = 0; i < BLOCKS; i++)
        verify("malloc block after growth", blocks[i], i % 2 ? 1000 : 3000, (uint64_t)i);
    char *top = (char *)syscall(SYS_brk, 0);
    char *grown = (char *)syscall(SYS_brk, top + (1 << 20));
    CHECK(grown == top + (1 << 20), "the heap does not grow");
    if (grown == top + (1 << 20))
        memset(grown - (1 << 20), 1, 1 << 20);
}

int main(int argc, char **argv) {
    CHECK(argc == 3 && strcmp(argv[1], "an argument") == 0 && strcmp(argv[2], "") == 0,
          "arguments");
    fill(data, sizeof data, 1);
    fill(bss, sizeof bss, 2);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(1000);
        fill(blocks[i], 1000, (uint64_t)i);
    }
    uint64_t text = checksum(&__executable_start, (size_t)(&etext - &__executable_start));
    uint64_t shallow = recurse(20), deep_before = 0;
    for (int i = 0; i < WORKERS; i++)
        NEED(-pthread_create(&counters[i].thread, NULL, count, &counters[i]));
    for (int i = 0; i < WORKERS; i++)
        while (counters[i].count < 10)
            sched_yield();
    int64_t started = now();
    self_take();
    ready();
    await_go();
    self_compare(false);
    CHECK(now() >= started, "CLOCK_MONOTONIC went back");
    for (int i = 0; i < WORKERS; i++) {
        for (uint64_t from = counters[i].count; counters[i].count < from + 100;)
            sched_yield();
    }
    stop = true;
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(counters[i].thread, NULL) == 0, "pthread_join");
        uint64_t chain = 0;
        for (uint64_t number = 1; number <= counters[i].count; number++)
            chain = append(chain, number);
        CHECK(chain == counters[i].chain, "counter %d skipped or repeated a number", i);
    }
    verify("data", data, sizeof data, 1);
    verify("bss", bss, sizeof bss, 2);
    CHECK(checksum(&__executable_start, (size_t)(&etext - &__executable_start)) == text,
          "text differs");
    check_heap();
    CHECK(recurse(20) == shallow, "recursion");
    for (int i = 0; i <= 1000; i += 500)
        deep_before = recurse(i);
    CHECK(deep_before > 0, "deep recursion");
    CHECK(own == 42, "thread-local variable of the main thread lost");
    finish();
}
