/*
 * Rings of asynchronous input and output (io_setup). Where the kernel puts the next event, and how
 * many it takes for unread, is its own and begins at 0: requests that complete at once advance it.
 */
#include "interpreter.h"

/* linux/aio_abi.h, and the head of the ring, of which fs/aio.c has the structure. */
struct ring {
    volatile uint32_t id, count, head, tail;
};
struct request {
    uint64_t data;
    uint32_t key, flags;
    uint16_t code;
    int16_t priority;
    uint32_t fd;
    uint64_t events, size, offset, reserved, flags2;
};
enum { POLL = 5, POLLOUT = 4 };
enum { BATCH = 64, MOST_PROCESSORS = 8192 };

struct submission {
    struct ring *ring;
    struct request request;
    struct request *batch[BATCH];
};

/* Returns how many were left over, or an errno below zero. */
static int64_t submit(struct submission *what, uint64_t count) {
    while (count > 0) {
        int64_t done = CALL3(SYS_io_submit, what->ring, count < BATCH ? count : BATCH, what->batch);
        if (done == -EAGAIN)
            break;
        if (failed(done))
            return done;
        count -= (uint64_t)done;
    }
    return (int64_t)count;
}

/* Each processor keeps room that it has used for itself: what is missing is to be had on others. */
static int64_t submit_elsewhere(struct submission *what, int64_t left) {
    uint64_t all[MOST_PROCESSORS / 64], one[MOST_PROCESSORS / 64];
    int64_t size = CALL3(SYS_sched_getaffinity, 0, sizeof all, all);
    if (failed(size))
        return size;
    for (int64_t i = 0; i < size * 8 && left > 0; i++) {
        if (!(all[i / 64] >> i % 64 & 1))
            continue;
        fill(one, 0, (uint64_t)size);
        one[i / 64] = 1ull << i % 64;
        if (!failed(CALL3(SYS_sched_setaffinity, 0, size, one)))
            left = submit(what, (uint64_t)left);
    }
    CALL3(SYS_sched_setaffinity, 0, size, all);
    return left;
}

int64_t advance_ring(uint64_t address, uint64_t ready, uint64_t count, uint64_t unread) {
    struct submission what = {.ring = (struct ring *)address};
    what.request = (struct request){.code = POLL, .fd = (uint32_t)ready, .events = POLLOUT};
    for (int i = 0; i < BATCH; i++)
        what.batch[i] = &what.request;
    /* What is read at once takes no room: half of it is there on any processor. */
    for (uint64_t rest = count - unread; rest > 0;) {
        uint64_t part = rest < BATCH / 2 ? rest : BATCH / 2;
        int64_t left = submit(&what, part);
        if (left != 0)
            return failed(left) ? left : -EAGAIN;
        what.ring->head = what.ring->tail;
        rest -= part;
    }
    int64_t left = submit(&what, unread);
    if (left > 0)
        left = submit_elsewhere(&what, left);
    return failed(left) ? left : left > 0 ? -EAGAIN : (int64_t)what.ring->tail;
}
