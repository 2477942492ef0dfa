/*
 * Asynchronous input and output (io_setup): contexts with events that nobody has read, in the
 * middle of the ring and around its end, a full ring, one that was moved, one that the program
 * reads itself, one made by a second thread, one for which threads wait; requests go on behind the
 * events that were there. `aio pending` has a request in flight that does not complete by itself.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct ring {
    unsigned id, count, head, tail, magic, compatible, incompatible, header;
    struct io_event events[];
};

static long setup(unsigned requests, aio_context_t *context) {
    return syscall(SYS_io_setup, requests, context);
}
static long submit(aio_context_t context, long count, struct iocb **list) {
    return syscall(SYS_io_submit, context, count, list);
}
static long take(aio_context_t context, long count, struct io_event *events) {
    struct timespec at_once = {0};
    return syscall(SYS_io_getevents, context, 0L, count, events, &at_once);
}

/* An eventfd that can always be written to: polling for that completes at once. */
static int writable, counted;

enum { CONTEXTS = 8, WAITED_FOR = 7 };
/* A context, and what the numbers of its next event and of the next request are. */
struct context {
    const char *what;
    aio_context_t id;
    struct ring head; /* as it was */
    uint64_t next, sent;
    unsigned room;
} contexts[CONTEXTS];

static struct ring *ring_of(const struct context *context) {
    return (struct ring *)context->id;
}

/* Submits one request; false if the context takes no more. */
static bool say(struct context *context) {
    struct iocb request = {.aio_data = context->sent,
                           .aio_fildes = (unsigned)writable,
                           .aio_lio_opcode = IOCB_CMD_POLL,
                           .aio_buf = POLLOUT,
                           .aio_flags = IOCB_FLAG_RESFD,
                           .aio_resfd = (unsigned)counted};
    struct iocb *list = &request;
    if (submit(context->id, 1, &list) == 1) {
        context->sent++;
        return true;
    }
    CHECK(errno == EAGAIN, "%s: request %lu: %s", context->what, context->sent, strerror(errno));
    return false;
}
static void say_many(struct context *context, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        CHECK(say(context), "%s: no room for request %lu", context->what, context->sent);
}

static void check_event(struct context *context, const struct io_event *event) {
    CHECK(event->data == context->next && event->res == POLLOUT && event->res2 == 0,
          "%s: event %llu (%lld, %lld) instead of %lu", context->what, event->data, event->res,
          event->res2, context->next);
    context->next++;
}
static void hear(struct context *context, unsigned count) {
    struct io_event event;
    for (unsigned i = 0; i < count; i++) {
        long got = take(context->id, 1, &event);
        CHECK(got == 1, "%s: no event %lu: %ld", context->what, context->next, got);
        if (got == 1)
            check_event(context, &event);
    }
}
/* As libaio does it, without the kernel. */
static void hear_myself(struct context *context, unsigned count) {
    struct ring *ring = ring_of(context);
    for (unsigned i = 0; i < count; i++) {
        unsigned head = ring->head;
        CHECK(head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), "%s: no event %lu",
              context->what, context->next);
        check_event(context, &ring->events[head]);
        __atomic_store_n(&ring->head, (head + 1) % ring->count, __ATOMIC_RELEASE);
    }
}

/* How many requests more it takes. Each processor keeps some room for itself. */
static unsigned room_of(struct context *context) {
    unsigned before = (unsigned)context->sent;
    cpu_set_t all, one;
    NEED(sched_getaffinity(0, sizeof all, &all));
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        NEED(sched_setaffinity(0, sizeof one, &one));
        while (say(context))
            ;
    }
    NEED(sched_setaffinity(0, sizeof all, &all));
    return (unsigned)context->sent - before;
}

static struct context *make(int i, const char *what, unsigned requests) {
    contexts[i].what = what;
    NEED(setup(requests, &contexts[i].id));
    return &contexts[i];
}

/* Blocks until an event comes. */
static pthread_t waiters[2];
static struct io_event awaited[2];
static void *wait_for_one(void *limit) {
    struct io_event event = {0};
    long got = syscall(SYS_io_getevents, contexts[WAITED_FOR].id, 1L, 1L, &event, limit);
    CHECK(got == 1, "a wait %s ends with %ld: %s", limit ? "with a timeout" : "without end", got,
          strerror(errno));
    awaited[limit != NULL] = event;
    return NULL;
}
static void start_waiters(void) {
    static struct timespec long_enough = {.tv_sec = 10000};
    make(WAITED_FOR, "waited for", 1);
    NEED(-pthread_create(&waiters[0], NULL, wait_for_one, NULL));
    NEED(-pthread_create(&waiters[1], NULL, wait_for_one, &long_enough));
}
static void end_waiters(void) {
    struct context *context = &contexts[WAITED_FOR];
    say_many(context, 2);
    for (int i = 0; i < 2; i++)
        NEED(-pthread_join(waiters[i], NULL));
    /* Which of them has the first is up to the kernel. */
    int first = awaited[0].data == 0 ? 0 : 1;
    check_event(context, &awaited[first]);
    check_event(context, &awaited[!first]);
}

static void *in_thread(void *unused) {
    struct context *context = make(5, "made in a thread", 10);
    say_many(context, 3);
    (void)unused;
    return NULL;
}

static void make_contexts(void) {
    writable = (int)NEED(eventfd(0, 0));
    counted = (int)NEED(eventfd(0, 0));
    make(0, "idle", 1);

    aio_context_t gone = 0;
    NEED(setup(20, &gone));
    struct context *context = make(1, "unread", 500);
    for (int i = 0; i < 3; i++) {
        say_many(context, 200);
        hear(context, 200);
    }
    say_many(context, 77);
    hear(context, 7);

    context = make(2, "round its end, moved", 64);
    char *place = mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED((intptr_t)place);
    /* Right behind what starts at a multiple of 2 MiB. */
    place = (char *)(((uintptr_t)place + (2 << 20) - 1) & -(2ul << 20));
    size_t size = sizeof(struct ring) + ring_of(context)->count * sizeof(struct io_event);
    context->id = (aio_context_t)mremap((void *)context->id, size, size,
                                        MREMAP_MAYMOVE | MREMAP_FIXED, place + 4096);
    NEED((intptr_t)context->id);
    unsigned count = ring_of(context)->count;
    for (unsigned i = 0; i < count - 10; i++) {
        say_many(context, 1);
        hear_myself(context, 1);
    }
    say_many(context, 40);
    hear_myself(context, 5);

    context = make(3, "full", 1);
    say_many(context, 50);
    hear(context, 50);
    context->room = room_of(context);
    CHECK(!say(context), "full: takes more");

    context = make(4, "once round", 1);
    for (unsigned i = 0; i < ring_of(context)->count; i++) {
        say_many(context, 1);
        hear(context, 1);
    }
    CHECK(ring_of(context)->tail == 0, "once round: the tail is %u", ring_of(context)->tail);

    pthread_t thread;
    NEED(-pthread_create(&thread, NULL, in_thread, NULL));
    NEED(-pthread_join(thread, NULL));
    context = make(6, "read only", 300);
    say_many(context, 4);
    size = sizeof(struct ring) + ring_of(context)->count * sizeof(struct io_event);
    NEED(mprotect((char *)context->id + 4096, size - 4096, PROT_READ));

    start_waiters();
    /* Leaves a number that none has. */
    NEED(syscall(SYS_io_destroy, gone));
    for (int i = 0; i < CONTEXTS; i++)
        contexts[i].head = *ring_of(&contexts[i]);
}

static void check_context(struct context *context) {
    struct ring *ring = ring_of(context);
    CHECK(memcmp(ring, &context->head, sizeof *ring) == 0,
          "%s: the ring's head is %u %u %u %u, was %u %u %u %u", context->what, ring->id,
          ring->count, ring->head, ring->tail, context->head.id, context->head.count,
          context->head.head, context->head.tail);
    unsigned unread = (unsigned)(context->sent - context->next);
    hear(context, unread / 2);
    hear_myself(context, unread - unread / 2);
    struct io_event event;
    CHECK(take(context->id, 1, &event) == 0, "%s: more events than there were", context->what);
    CHECK(ring->head == ring->tail, "%s: the ring is not empty", context->what);
    /* Once more round it. */
    for (unsigned i = 0; i < ring->count + 5; i++) {
        say_many(context, 1);
        hear(context, 1);
    }
    say_many(context, 12);
    aio_context_t fresh = 0;
    NEED(setup(ring->count / 2 - 1, &fresh));
    struct context other = {.what = "a new one", .id = fresh};
    CHECK(ring_of(&other)->count == ring->count, "%s: a new one has %u events instead of %u",
          context->what, ring_of(&other)->count, ring->count);
    unsigned most = room_of(&other), room = room_of(context);
    CHECK(room + 12 == most, "%s: 12 events and room for %u instead of %u", context->what, room,
          most);
    NEED(syscall(SYS_io_destroy, fresh));
    hear(context, room + 12);
    CHECK(syscall(SYS_io_destroy, context->id) == 0, "%s: cannot be destroyed", context->what);
    CHECK(take(context->id, 1, &event) == -1 && errno == EINVAL, "%s: goes on", context->what);
}

static void check_count(void) {
    uint64_t sent = 0, told = 0;
    for (int i = 0; i < CONTEXTS; i++)
        sent += contexts[i].sent;
    NEED(read(counted, &told, sizeof told));
    CHECK(told == sent, "the eventfd counts %lu events instead of %lu", told, sent);
}

int main(int argc, char **argv) {
    make_contexts();
    if (argc > 1) {
        int ends[2];
        NEED(pipe(ends));
        struct iocb request = {
            .aio_fildes = (unsigned)ends[0], .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN};
        struct iocb *list = &request;
        NEED(submit(contexts[0].id, 1, &list));
        ready();
        await_go();
        NEED(write(ends[1], "", 1));
        struct io_event event;
        CHECK(syscall(SYS_io_getevents, contexts[0].id, 1L, 1L, &event, NULL) == 1, "%s is lost",
              argv[1]);
        finish();
    }
    ready();
    await_go();
    end_waiters();
    contexts[WAITED_FOR].head = *ring_of(&contexts[WAITED_FOR]);
    check_count();
    for (int i = 0; i < CONTEXTS; i++)
        check_context(&contexts[i]);
    finish();
}
