#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int complaints;
static atomic_bool go_seen;

/* In one write(2), so that lines of several threads do not mix. */
static void say(const char *line, size_t length) {
    while (length > 0) {
        ssize_t written = write(1, line, length);
        if (written < 0 && errno != EINTR)
            _exit(4);
        if (written > 0) {
            line += written;
            length -= (size_t)written;
        }
    }
}

void ready(void) {
    say("ready\n", 6);
}

void await_go(void) {
    char byte = 0;
    while (byte != '\n') {
        ssize_t got = read(0, &byte, 1);
        if (got == 0)
            _exit(3);
        if (got < 0)
            fail("read of standard input: errno %d", errno);
    }
    atomic_store(&go_seen, true);
}

bool gone(void) {
    return atomic_load(&go_seen);
}

static void *watch(void *unused) {
    await_go();
    return unused;
}

void watch_for_go(void) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, watch, NULL);
    if (error != 0)
        need((errno = error, -1), "pthread_create");
    pthread_detach(thread);
}

void fail(const char *format, ...) {
    char line[512];
    va_list list;
    int saved = errno;
    int length = snprintf(line, sizeof line, "wrong: ");
    va_start(list, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, list);
    va_end(list);
    if (length > (int)sizeof line - 2)
        length = sizeof line - 2;
    line[length++] = '\n';
    /* A state that is broken everywhere would otherwise fill pages. */
    if (atomic_fetch_add(&complaints, 1) < 40)
        say(line, (size_t)length);
    errno = saved;
}

int failures(void) {
    return atomic_load(&complaints);
}

void finish(void) {
    if (failures() == 0)
        say("ok\n", 3);
    _exit(failures() == 0 ? 0 : 1);
}

void leave_out(const char *why) {
    say("left out: ", 10);
    say(why, strlen(why));
    say("\n", 1);
    _exit(77);
}

intptr_t need(intptr_t result, const char *call) {
    if (result < 0 && result >= -4095) {
        char line[256];
        int length = snprintf(line, sizeof line, "cannot set up: %s: %s\n", call,
                              strerror(result == -1 ? errno : (int)-result));
        say(line, (size_t)length);
        _exit(2);
    }
    return result;
}

static uint64_t word(uint64_t seed, uint64_t index) {
    uint64_t z = seed * 0x9e3779b97f4a7c15u + (index + 1) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 30)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void fill(void *memory, size_t size, uint64_t seed) {
    unsigned char *bytes = memory;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t value = word(seed, at / 8);
        memcpy(bytes + at, &value, size - at < 8 ? size - at : 8);
    }
}

void verify(const char *what, const void *memory, size_t size, uint64_t seed) {
    const unsigned char *bytes = memory;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t value = word(seed, at / 8);
        if (memcmp(bytes + at, &value, size - at < 8 ? size - at : 8) != 0) {
            fail("%s: content differs at %p, byte %zu of %zu", what, (const void *)(bytes + at), at,
                 size);
            return;
        }
    }
}

void verify_zero(const char *what, const void *memory, size_t size) {
    const unsigned char *bytes = memory;
    for (size_t at = 0; at < size; at++) {
        if (bytes[at] != 0) {
            fail("%s: not zero at byte %zu of %zu", what, at, size);
            return;
        }
    }
}

uint64_t checksum(const void *memory, size_t size) {
    const unsigned char *bytes = memory;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t at = 0; at < size; at++)
        hash = (hash ^ bytes[at]) * 0x100000001b3u;
    return hash;
}
