/*
 * Counters of an io_uring. A new ring begins with 0, and the kernel alone moves them: so it is
 * given entries to take that do nothing, and completions to tell that nobody waits for.
 */
#include "interpreter.h"

enum { OP_NOP = 0, OP_MSG_RING = 40, CQE_SKIP_SUCCESS = 1 << 6 };
enum { ENTER_GETEVENTS = 1 };
/* Entries of the ring that sends completions to another. */
enum { HELPERS = 4096, ENTRIES_OFFSET = 0x10000000 };

/* struct io_uring_sqe, as far as it is needed. */
struct entry {
    uint8_t opcode, flags;
    uint16_t priority;
    int32_t fd;
    uint64_t offset, address;
    uint64_t rest[5];
};

static volatile uint32_t *word(const struct uring_plan *plan, uint32_t offset) {
    return (volatile uint32_t *)(plan->rings + offset);
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Every entry the same, each in its place. */
static void prepare(const struct uring_plan *plan, const struct entry *entry) {
    for (uint32_t i = 0; i < plan->sq_count; i++) {
        uint8_t *place = (uint8_t *)plan->entries + i * plan->entry_size;
        fill(place, 0, plan->entry_size);
        copy(place, entry, sizeof *entry);
        if (plan->has_array)
            word(plan, plan->array)[i] = i;
    }
}

/* Has `count` entries taken at once, at most as many as there is room for. */
static int64_t submit(const struct uring_plan *plan, uint32_t count) {
    uint32_t tail = *word(plan, plan->sq_tail) + count;
    __atomic_store_n(word(plan, plan->sq_tail), tail, __ATOMIC_RELEASE);
    int64_t taken = CALL6(SYS_io_uring_enter, plan->fd, count, 0, 0, 0, 0);
    if (failed(taken))
        return taken;
    return taken == count && *word(plan, plan->sq_head) == tail ? 0 : -EIO;
}

/*
 * As far as the program has taken completions, they are taken here, too, and never farther: of what
 * is free the kernel looks ahead, and would write over those that are still to be read.
 */
static uint32_t room(const struct uring_plan *plan, uint64_t left) {
    uint32_t tail = *word(plan, plan->cq_tail);
    uint32_t head = left < plan->unread ? tail - (plan->unread - (uint32_t)left) : tail;
    __atomic_store_n(word(plan, plan->cq_head), head, __ATOMIC_RELEASE);
    return plan->cq_count - (tail - head);
}

/* Entries that do nothing, with completions, of which `left` are still to come, or without. */
static int64_t take(const struct uring_plan *plan, uint32_t count, int silent, uint64_t left) {
    struct entry entry = {.opcode = OP_NOP, .flags = silent ? CQE_SKIP_SUCCESS : 0};
    prepare(plan, &entry);
    while (count > 0) {
        uint32_t now = least(count, plan->sq_count);
        uint32_t before = *word(plan, plan->cq_tail);
        if (!silent)
            now = least(now, room(plan, left));
        int64_t result = now == 0 ? -EIO : submit(plan, now);
        if (failed(result))
            return result;
        if (*word(plan, plan->cq_tail) - before != (silent ? 0 : now))
            return -EIO;
        count -= now;
        left -= silent ? 0 : now;
    }
    return 0;
}

/* struct io_uring_params. */
struct params {
    uint32_t sq_entries, cq_entries, flags, rest[7];
    uint32_t sq_head, sq_tail, sq_rest[4], array, sq_rest2[3];
    uint32_t cq_head, cq_tail, cq_rest[8];
};

static int64_t send(const struct uring_plan *plan, const struct uring_plan *helper,
                    uint32_t count) {
    struct entry entry = {
        .opcode = OP_MSG_RING, .flags = CQE_SKIP_SUCCESS, .fd = (int32_t)plan->fd};
    prepare(helper, &entry);
    while (count > 0) {
        uint32_t before = *word(plan, plan->cq_tail);
        uint32_t now = least(least(count, helper->sq_count), room(plan, count));
        int64_t result = now == 0 ? -EIO : submit(helper, now);
        if (!failed(result) && plan->deferred)
            result = CALL6(SYS_io_uring_enter, plan->fd, 0, 0, ENTER_GETEVENTS, 0, 0);
        if (failed(result))
            return result;
        if (*word(plan, plan->cq_tail) - before != now)
            return -EIO;
        count -= now;
    }
    return 0;
}

/* Completions without entries, which another ring sends. */
static int64_t tell(const struct uring_plan *plan, uint32_t count) {
    struct params params;
    fill(&params, 0, sizeof params);
    int64_t fd = CALL2(SYS_io_uring_setup, HELPERS, &params);
    if (failed(fd))
        return fd;
    uint64_t rings_size = params.array + params.sq_entries * sizeof(uint32_t);
    uint64_t entries_size = params.sq_entries * sizeof(struct entry);
    int64_t rings = CALL6(SYS_mmap, 0, rings_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int64_t entries =
        CALL6(SYS_mmap, 0, entries_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, ENTRIES_OFFSET);
    struct uring_plan helper = {
        .fd = (uint64_t)fd,
        .rings = (uint64_t)rings,
        .entries = (uint64_t)entries,
        .entry_size = sizeof(struct entry),
        .has_array = 1,
        .sq_head = params.sq_head,
        .sq_tail = params.sq_tail,
        .array = params.array,
        .sq_count = params.sq_entries,
    };
    int64_t result = failed(rings) ? rings : failed(entries) ? entries : send(plan, &helper, count);
    if (!failed(entries))
        CALL2(SYS_munmap, entries, entries_size);
    if (!failed(rings))
        CALL2(SYS_munmap, rings, rings_size);
    CALL1(SYS_close, fd);
    return result;
}

/*
 * Entries without completions are given only to a ring that has had such ones, as the kernel
 * remembers that, and then at least one. Completions can always be sent, once round all numbers if
 * need be.
 */
int64_t advance_uring(const struct uring_plan *plan) {
    uint32_t apart = plan->taken > plan->told ? plan->taken - plan->told : 1;
    uint32_t silent = plan->silent ? apart : 0;
    uint32_t both = plan->taken - silent;
    uint32_t sent = plan->told - both;
    int64_t result = take(plan, both, 0, (uint64_t)both + sent);
    if (!failed(result) && silent > 0)
        result = take(plan, silent, 1, sent);
    if (!failed(result) && sent > 0)
        result = tell(plan, sent);
    return result;
}
