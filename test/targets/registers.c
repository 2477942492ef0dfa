/*
 * One thread for each register file, spinning with live values in it. argv[1] chooses: `avx512`
 * uses all that the processor has, `avx` leaves AVX-512 alone (so the image runs without it).
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/live.h"
#include "support/self.h"

#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, RED_ZONE = 128 };

static bool has_avx512, has_avx, has_pkru;

static void detect(void) {
    unsigned a, b, c, d, low = 0, high;
    __cpuid(1, a, b, c, d);
    if (c & bit_OSXSAVE)
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    has_avx = (c & bit_AVX) && (low & 6) == 6;
    __cpuid_count(7, 0, a, b, c, d);
    has_avx512 = (b & bit_AVX512F) && (b & bit_AVX512BW) && (low & 0xe6) == 0xe6;
    has_pkru = (c & bit_OSPKE) && (low & 0x200);
}

/* A whole page is left above the red zone, below it comes an unmapped one: who pushes, dies. */
static char *tight_stack(void) {
    char *pages = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED((intptr_t)pages);
    NEED(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE));
    fill(pages + PAGE, RED_ZONE, 99);
    return pages + PAGE + RED_ZONE;
}

static void prepare_general(struct live *live) {
    fill(live->in, 14 * 8, 1);
    live->stack = (uint64_t)tight_stack();
}
static void check_general(struct live *live) {
    uint64_t flags;
    memcpy(&flags, live->out + 112, 8);
    CHECK((flags & 0x40400) == 0x40400, "DF and AC are lost: flags %lx", flags);
}

static void prepare_x87(struct live *live) {
    uint16_t control = 0x0b7f; /* round up, 64 bits of precision, all exceptions masked */
    memcpy(live->in, &control, 2);
    for (int i = 0; i < 8; i++) {
        long double value = 1.1L * (i + 1) * (i % 2 ? -1 : 1);
        memcpy(live->in + 16 + 16 * i, &value, 10);
    }
}
static void prepare_sse(struct live *live) {
    uint32_t control = 0x7fa2; /* round to zero, flags of earlier operations set */
    memcpy(live->in, &control, 4);
    fill(live->in + 64, 256, 3);
}
static void prepare_avx(struct live *live) {
    fill(live->in, 512, 4);
}
static void prepare_avx512(struct live *live) {
    fill(live->in, 2048 + 64, 5);
}
static void prepare_pkru(struct live *live) {
    uint32_t value = 0x5a5a5a50; /* key 0 stays usable */
    memcpy(live->in, &value, 4);
}
static const uint64_t gs_word = 0x0123456789abcdef;
static void prepare_gs(struct live *live) {
    const uint64_t *address = &gs_word;
    memcpy(live->in, &address, 8);
}
static void check_gs(struct live *live) {
    CHECK(memcmp(live->out, &gs_word, 8) == 0, "gs base is lost");
}

static struct row {
    const char *name;
    void (*loop)(struct live *);
    void (*prepare)(struct live *);
    void (*check)(struct live *);
    const bool *needs;
    struct live live;
    pthread_t thread;
} rows[] = {
    {.name = "general registers",
     .loop = live_general,
     .prepare = prepare_general,
     .check = check_general},
    {.name = "x87", .loop = live_x87, .prepare = prepare_x87},
    {.name = "SSE", .loop = live_sse, .prepare = prepare_sse},
    {.name = "AVX", .loop = live_avx, .prepare = prepare_avx, .needs = &has_avx},
    {.name = "AVX-512", .loop = live_avx512, .prepare = prepare_avx512, .needs = &has_avx512},
    {.name = "PKRU", .loop = live_pkru, .prepare = prepare_pkru, .needs = &has_pkru},
    {.name = "gs base", .loop = live_gs, .prepare = prepare_gs, .check = check_gs},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void *run(void *argument) {
    struct row *row = argument;
    row->loop(&row->live);
    return NULL;
}

static bool used(const struct row *row) {
    return row->needs == NULL || *row->needs;
}

int main(int argc, char **argv) {
    detect();
    if (argc < 2 || strcmp(argv[1], "avx512") != 0)
        has_avx512 = false;
    else if (!has_avx512)
        leave_out("this processor has no AVX-512");
    for (int i = 0; i < ROWS; i++) {
        if (!used(&rows[i]))
            continue;
        rows[i].prepare(&rows[i].live);
        rows[i].live.rounds = UINT64_MAX;
        NEED(-pthread_create(&rows[i].thread, NULL, run, &rows[i]));
    }
    for (int i = 0; i < ROWS; i++)
        while (used(&rows[i]) && __atomic_load_n(&rows[i].live.progress, __ATOMIC_SEQ_CST) < 1000)
            sched_yield();
    self_take();
    ready();
    await_go();
    self_compare(false);
    for (int i = 0; i < ROWS; i++) {
        struct live *live = &rows[i].live;
        if (!used(&rows[i]))
            continue;
        uint64_t from = __atomic_load_n(&live->progress, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&live->progress, __ATOMIC_SEQ_CST) < from + 1000)
            sched_yield();
        __atomic_store_n(&live->stop, 1, __ATOMIC_SEQ_CST);
        NEED(-pthread_join(rows[i].thread, NULL));
        if (rows[i].check != NULL)
            rows[i].check(live);
        size_t size = rows[i].loop == live_gs        ? 0
                      : rows[i].loop == live_general ? 112
                                                     : sizeof live->in;
        for (size_t at = 0; at < size; at++) {
            if (live->in[at] != live->out[at]) {
                fail("%s: byte %zu was %02x, is %02x", rows[i].name, at, live->in[at],
                     live->out[at]);
                break;
            }
        }
    }
    verify("red zone", (char *)rows[0].live.stack - RED_ZONE, RED_ZONE, 99);
    finish();
}
