/*
 * What every target program shares: the conversation with the harness, and the verdict.
 *
 * A target sets up its state, says `ready`, and is frozen, ended and resumed at any instant after
 * that. The line `go` on its standard input tells it that this is over. It then checks itself and
 * ends with `ok` and status 0, or with one line for each thing that is wrong and status 1.
 * Nothing here allocates memory: the address space must not change between `ready` and the checks.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Says that the state is set up. */
void ready(void);

/* Blocks in read(2) until the harness says `go`; an interrupted call is a failure. */
void await_go(void);

/* Has await_go() run in a thread of its own seen the line? For programs that poll. */
bool gone(void);

/* Starts a thread that waits for the line, so that the calling thread may block elsewhere. */
void watch_for_go(void);

/* Prints one complaint and remembers it. Any thread may call it, and so may signal handlers. */
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);

/* Number of complaints so far. */
int failures(void);

/* Prints the verdict and ends the process. */
__attribute__((noreturn)) void finish(void);

/* Ends the process because the machine cannot run this check; the harness reports it as left out.
 */
__attribute__((noreturn)) void leave_out(const char *why);

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__VA_ARGS__);                                                                     \
    } while (0)

/* For the set-up: ends the program when the call gives -1, or -E. */
#define NEED(call) need((intptr_t)(call), #call)
intptr_t need(intptr_t result, const char *call);

/* Fills memory with a pattern that depends on seed and position. */
void fill(void *memory, size_t size, uint64_t seed);

/* Complains unless memory holds the pattern. */
void verify(const char *what, const void *memory, size_t size, uint64_t seed);

/* Complains unless all bytes are zero. */
void verify_zero(const char *what, const void *memory, size_t size);

/* FNV-1a. */
uint64_t checksum(const void *memory, size_t size);

#endif
