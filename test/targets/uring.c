/*
 * io_urings in which nothing is in flight: of all sorts, with completions that were not taken,
 * entries that were not submitted, files, buffers and an eventfd that are registered. Afterwards
 * every counter is where it was, what waits is found, and the rings work as they did.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Newer than the headers of some distributions. */
enum { SINGLE_ISSUER = 1 << 12, DEFER_TASKRUN = 1 << 13, NO_SQARRAY = 1 << 16 };
enum { REGISTERED_RING = 1 << 4, FILE_ALLOC_RANGE = 25, MSG_RING = 40, SKIP = 1 << 6 };

struct ring {
    const char *name;
    unsigned flags, entries, completions; /* as asked for */
    int fd;
    bool apart; /* mapped three times, as kernels before 5.4 wanted it */
    struct io_uring_params params;
    char *sq, *cq, *entry_memory;
    unsigned submitted, taken; /* counted by the program, which the kernel must agree to */
};

static int setup(unsigned entries, struct io_uring_params *params) {
    return (int)syscall(SYS_io_uring_setup, entries, params);
}
static int enter(int fd, unsigned submit, unsigned wait, unsigned flags) {
    return (int)syscall(SYS_io_uring_enter, fd, submit, wait, flags, NULL, 0);
}
static int enroll(int fd, unsigned what, const void *argument, unsigned count) {
    return (int)syscall(SYS_io_uring_register, fd, what, argument, count);
}

static unsigned *sq(struct ring *ring, unsigned offset) {
    return (unsigned *)(ring->sq + offset);
}
static unsigned *cq(struct ring *ring, unsigned offset) {
    return (unsigned *)(ring->cq + offset);
}
static unsigned sq_head(struct ring *ring) {
    return __atomic_load_n(sq(ring, ring->params.sq_off.head), __ATOMIC_ACQUIRE);
}
static unsigned cq_tail(struct ring *ring) {
    return __atomic_load_n(cq(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE);
}
static unsigned waiting(struct ring *ring) {
    return cq_tail(ring) - ring->taken;
}

static void make(struct ring *ring) {
    ring->params = (struct io_uring_params){.flags = ring->flags, .cq_entries = ring->completions};
    ring->fd = (int)NEED(setup(ring->entries, &ring->params));
    struct io_uring_params *p = &ring->params;
    bool wide = ring->flags & IORING_SETUP_SQE128,
         long_completions = ring->flags & IORING_SETUP_CQE32;
    size_t cq_size = p->cq_off.cqes + p->cq_entries * (long_completions ? 32 : 16);
    size_t sq_size = p->sq_off.array + p->sq_entries * 4;
    if (ring->flags & NO_SQARRAY || (!ring->apart && cq_size > sq_size))
        sq_size = cq_size;
    ring->sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    NEED(ring->sq == MAP_FAILED ? -1 : 0);
    ring->cq = ring->sq;
    if (ring->apart) {
        ring->cq =
            mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
        NEED(ring->cq == MAP_FAILED ? -1 : 0);
    }
    ring->entry_memory = mmap(NULL, p->sq_entries * (wide ? 128 : 64), PROT_READ | PROT_WRITE,
                              MAP_SHARED, ring->fd, IORING_OFF_SQES);
    NEED(ring->entry_memory == MAP_FAILED ? -1 : 0);
}

/* The next entry, which the kernel sees at once but takes only when it is told to. */
static struct io_uring_sqe *next_entry(struct ring *ring, uint64_t data) {
    unsigned index = ring->submitted & (ring->params.sq_entries - 1);
    unsigned size = ring->flags & IORING_SETUP_SQE128 ? 128 : 64;
    struct io_uring_sqe *entry = (void *)(ring->entry_memory + index * size);
    memset(entry, 0, size);
    entry->user_data = data;
    if (!(ring->flags & NO_SQARRAY))
        sq(ring, ring->params.sq_off.array)[index] = index;
    ring->submitted++;
    return entry;
}
static void publish(struct ring *ring) {
    __atomic_store_n(sq(ring, ring->params.sq_off.tail), ring->submitted, __ATOMIC_RELEASE);
}
static int submit(struct ring *ring, unsigned count) {
    publish(ring);
    return enter(ring->fd, count, 0, ring->flags & DEFER_TASKRUN ? IORING_ENTER_GETEVENTS : 0);
}
/* The completion that comes next; false where there is none. */
static bool take(struct ring *ring, struct io_uring_cqe *completion) {
    if (waiting(ring) == 0)
        return false;
    unsigned index = ring->taken & (ring->params.cq_entries - 1);
    unsigned size = ring->flags & IORING_SETUP_CQE32 ? 32 : 16;
    memcpy(completion, ring->cq + ring->params.cq_off.cqes + index * size, sizeof *completion);
    ring->taken++;
    __atomic_store_n(cq(ring, ring->params.cq_off.head), ring->taken, __ATOMIC_RELEASE);
    return true;
}
static void nops(struct ring *ring, unsigned count, uint64_t first, bool leave) {
    struct io_uring_cqe completion;
    for (unsigned i = 0; i < count; i++) {
        next_entry(ring, first + i);
        if (submit(ring, 1) != 1)
            fail("%s: entry %lu is not taken: %d", ring->name, first + i, errno);
        if (!leave && (!take(ring, &completion) || completion.user_data != first + i))
            fail("%s: entry %lu is not completed", ring->name, first + i);
    }
}
static int one(struct ring *ring, struct io_uring_sqe *entry) {
    struct io_uring_cqe completion;
    uint64_t data = entry->user_data;
    publish(ring);
    if (enter(ring->fd, 1, 1, IORING_ENTER_GETEVENTS) != 1 || !take(ring, &completion) ||
        completion.user_data != data) {
        fail("%s: entry %lu is lost", ring->name, data);
        return -1;
    }
    return completion.res;
}

enum { PLAIN, APART, SIZED, WIDE, DEFERRED, NO_ARRAY, DISABLED, SILENT, SENT, FULL, TABLES, COUNT };
static struct ring rings[COUNT] = {
    [PLAIN] = {.name = "plain", .entries = 8},
    [APART] = {.name = "mapped apart", .entries = 300, .apart = true},
    [SIZED] = {.name = "sized",
               .entries = 5,
               .completions = 100,
               .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG},
    [WIDE] = {.name = "wide", .entries = 4, .flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32},
    [DEFERRED] = {.name = "deferred", .entries = 16, .flags = SINGLE_ISSUER | DEFER_TASKRUN},
    [NO_ARRAY] = {.name = "without array", .entries = 8, .flags = NO_SQARRAY},
    [DISABLED] = {.name = "disabled", .entries = 8, .flags = IORING_SETUP_R_DISABLED},
    [SILENT] = {.name = "silent", .entries = 8},
    [SENT] = {.name = "sent to", .entries = 4, .flags = SINGLE_ISSUER | DEFER_TASKRUN},
    [FULL] = {.name = "full", .entries = 4},
    [TABLES] = {.name = "tables", .entries = 8},
};
/*
 * How many have been submitted and completed. With them, what waits in the plain ring lies at its
 * end and beginning, where the kernel's look ahead at free places would write over it.
 */
enum { USED = 1000, ODD = 7, SILENTLY = 500, SENDS = 102, UNREAD = 3 };
enum { DATA = 4096, SLOTS = 6, REGISTERED_SLOT = 5 };
static int file, counter, set;
static char *buffer;

static void make_rings(void) {
    for (int i = 0; i < COUNT; i++) {
        make(&rings[i]);
        if (i != DISABLED && i != FULL)
            nops(&rings[i], USED + i, 1, false);
    }
    for (unsigned i = 0; i < SILENTLY; i++) {
        next_entry(&rings[SILENT], i)->flags = SKIP;
        NEED(submit(&rings[SILENT], 1));
    }
    struct io_uring_cqe completion;
    for (unsigned i = 0; i < SENDS; i++) {
        struct io_uring_sqe *entry = next_entry(&rings[PLAIN], 1);
        *entry = (struct io_uring_sqe){.opcode = MSG_RING, .fd = rings[SENT].fd, .off = i};
        NEED(one(&rings[PLAIN], entry));
        enter(rings[SENT].fd, 0, 0, IORING_ENTER_GETEVENTS);
        CHECK(take(&rings[SENT], &completion) && completion.user_data == i, "no message");
    }
    /* What is to be found. */
    nops(&rings[FULL], rings[FULL].params.cq_entries, 1, true);
    for (int i = PLAIN; i <= NO_ARRAY; i++) {
        nops(&rings[i], UNREAD, 4711, true);
        next_entry(&rings[i], 100);
        next_entry(&rings[i], 101);
        publish(&rings[i]);
    }
}

static void register_tables(void) {
    struct ring *ring = &rings[TABLES];
    file = memfd_create("data", 0);
    static char data[DATA];
    fill(data, DATA, 1);
    NEED(write(file, data, DATA));
    buffer = mmap(NULL, 3 * DATA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(buffer, 3 * DATA, 2);
    int fds[SLOTS] = {-1, file, -1, dup(file), 0, -1};
    NEED(enroll(ring->fd, IORING_REGISTER_FILES, fds, SLOTS));
    struct {
        unsigned offset, length;
        uint64_t reserved;
    } range = {1, 5, 0};
    NEED(enroll(ring->fd, FILE_ALLOC_RANGE, &range, 0));
    NEED(close(fds[3]));
    struct iovec vectors[2] = {{buffer + 100, DATA}, {buffer + 2 * DATA, DATA}};
    NEED(enroll(ring->fd, IORING_REGISTER_BUFFERS, vectors, 2));
    counter = eventfd(0, EFD_NONBLOCK);
    NEED(enroll(ring->fd, IORING_REGISTER_EVENTFD, &counter, 1));
    struct io_uring_rsrc_update number = {.offset = REGISTERED_SLOT, .data = (unsigned)ring->fd};
    NEED(enroll(ring->fd, IORING_REGISTER_RING_FDS, &number, 1));
    struct io_uring_rsrc_register sparse = {.nr = 3, .flags = IORING_RSRC_REGISTER_SPARSE};
    NEED(enroll(rings[DEFERRED].fd, IORING_REGISTER_FILES2, &sparse, sizeof sparse));
    set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 42};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, ring->fd, &event));
}

/* Another thread, which has a ring under a number of its own. */
enum { THREADS_SLOT = 7 };
static int wake[2], answer[2];
static void *use_number(void *ring) {
    struct io_uring_rsrc_update number = {.offset = THREADS_SLOT,
                                          .data = (unsigned)((struct ring *)ring)->fd};
    char result =
        (char)NEED(enroll(((struct ring *)ring)->fd, IORING_REGISTER_RING_FDS, &number, 1));
    NEED(write(answer[1], &result, 1));
    NEED(read(wake[0], &result, 1));
    result = (char)enter(THREADS_SLOT, 1, 1, REGISTERED_RING | IORING_ENTER_GETEVENTS);
    NEED(write(answer[1], &result, 1));
    return NULL;
}
static void start_thread(void) {
    pthread_t thread;
    char result;
    NEED(pipe(wake));
    NEED(pipe(answer));
    NEED(-pthread_create(&thread, NULL, use_number, &rings[APART]));
    NEED(read(answer[0], &result, 1));
}
static void check_thread(void) {
    struct io_uring_cqe completion;
    char result = 0;
    next_entry(&rings[APART], 11);
    publish(&rings[APART]);
    NEED(write(wake[1], "x", 1));
    NEED(read(answer[0], &result, 1));
    CHECK(result == 1 && take(&rings[APART], &completion) && completion.user_data == 11,
          "the number of the other thread: %d", result);
}

static void check_counters(struct ring *ring, unsigned pending) {
    CHECK(sq_head(ring) == ring->submitted - pending, "%s: %u entries taken, not %u", ring->name,
          sq_head(ring), ring->submitted - pending);
}

/*
 * Three sorts of completions: what was waiting, what was still to be submitted, and as many more as
 * there is room for. None may be written over, also not by the one for which there is no room.
 */
static void check_room(struct ring *ring, unsigned unread, uint64_t first, unsigned pending) {
    struct io_uring_cqe completion;
    unsigned size = ring->params.cq_entries, known = unread + pending;
    const unsigned *flags = sq(ring, ring->params.sq_off.flags);
    CHECK(waiting(ring) == unread, "%s: %u completions wait", ring->name, waiting(ring));
    CHECK(pending == 0 || submit(ring, pending) == (int)pending, "%s: what was not submitted",
          ring->name);
    nops(ring, size - waiting(ring), 7000, true);
    CHECK(waiting(ring) == size && !(*flags & IORING_SQ_CQ_OVERFLOW), "%s: not full, or more",
          ring->name);
    nops(ring, 1, 8000, true);
    CHECK(waiting(ring) == size && *flags & IORING_SQ_CQ_OVERFLOW, "%s: more than full",
          ring->name);
    for (unsigned i = 0; i < size; i++) {
        uint64_t data = i < unread ? first + i : i < known ? 100 + i - unread : 7000 + i - known;
        CHECK(take(ring, &completion) && completion.user_data == data && completion.res == 0,
              "%s: completion %u is %llu", ring->name, i, completion.user_data);
    }
    enter(ring->fd, 0, 0, IORING_ENTER_GETEVENTS);
    CHECK(take(ring, &completion) && completion.user_data == 8000, "%s: the last one", ring->name);
}

static void check_rings(void) {
    struct io_uring_cqe completion;
    for (int i = 0; i < COUNT; i++)
        check_counters(&rings[i], i <= NO_ARRAY ? 2 : 0);
    for (int i = PLAIN; i <= NO_ARRAY; i++) {
        struct ring *ring = &rings[i];
        check_room(ring, UNREAD, 4711, 2);
        nops(ring, ODD, 1, false);
        /* Who asks for that has it still: draining works where no completion was ever left out. */
        struct io_uring_sqe *entry = next_entry(ring, 5);
        entry->flags = IOSQE_IO_DRAIN;
        CHECK(one(ring, entry) == 0, "%s: cannot drain", ring->name);
        check_counters(ring, 0);
    }
    check_room(&rings[FULL], rings[FULL].params.cq_entries, 1, 0);
    check_room(&rings[SENT], 0, 0, 0);
    struct io_uring_sqe *entry = next_entry(&rings[SILENT], 5);
    entry->flags = IOSQE_IO_DRAIN;
    CHECK(one(&rings[SILENT], entry) == -EOPNOTSUPP, "silent: drains");
    struct ring *disabled = &rings[DISABLED];
    next_entry(disabled, 1);
    CHECK(submit(disabled, 1) == -1 && errno == EBADFD, "disabled: is not");
    CHECK(enroll(disabled->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) == 0, "disabled: stays so");
    CHECK(submit(disabled, 1) == 1 && take(disabled, &completion), "disabled: does not work");
}

static void check_tables(void) {
    struct ring *ring = &rings[TABLES];
    static char data[DATA];
    uint64_t count = 0;
    fill(data, DATA, 1);
    verify("buffer", buffer, 3 * DATA, 2);
    CHECK(read(counter, &count, 8) == -1 && errno == EAGAIN, "told of %lu", count);
    for (int slot = 1; slot <= 3; slot += 2) {
        struct io_uring_sqe *entry = next_entry(ring, 1);
        entry->opcode = IORING_OP_READ_FIXED;
        entry->flags = IOSQE_FIXED_FILE;
        entry->fd = slot;
        entry->addr = (uintptr_t)buffer + 100;
        entry->len = DATA;
        entry->buf_index = 0;
        memset(buffer, 0, 3 * DATA);
        int result = one(ring, entry);
        CHECK(result == DATA && memcmp(buffer + 100, data, DATA) == 0, "slot %d: %d", slot, result);
    }
    CHECK(read(counter, &count, 8) == 8 && count > 0, "not told");
    /* The kernel looks for an empty slot from where it would have. */
    static const unsigned allotted[] = {2, 5};
    for (int i = 0; i < 2; i++) {
        int fds[1] = {file};
        struct io_uring_sqe *entry = next_entry(ring, 1);
        entry->opcode = IORING_OP_FILES_UPDATE;
        entry->addr = (uintptr_t)fds;
        entry->len = 1;
        entry->off = IORING_FILE_INDEX_ALLOC;
        int result = one(ring, entry);
        CHECK(result == 1 && (unsigned)fds[0] == allotted[i], "allotted slot %d: %d", fds[0],
              result);
    }
    /* By the number that the thread has for it. */
    next_entry(ring, 9);
    publish(ring);
    CHECK(enter(REGISTERED_SLOT, 1, 0, REGISTERED_RING) == 1, "the registered number");
    struct io_uring_cqe completion;
    struct epoll_event event = {0};
    CHECK(epoll_wait(set, &event, 1, 1000) == 1 && event.data.u64 == 42, "not watched");
    CHECK(take(ring, &completion) && completion.user_data == 9, "by the registered number");
}

int main(void) {
    struct io_uring_params params = {0};
    int fd = setup(1, &params);
    if (fd < 0)
        leave_out("this kernel has no io_uring");
    NEED(close(fd));
    make_rings();
    register_tables();
    start_thread();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_rings();
    check_tables();
    check_thread();
    finish();
}
