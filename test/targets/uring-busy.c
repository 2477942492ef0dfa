/*
 * An io_uring in which something is in flight, as the argument says; with `workers`, one in which
 * something was, so that threads of the kernel wait for more. It goes on as it was when it is let
 * go.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ENTRIES = 8 };
static struct io_uring_params params;
static char *rings;
static struct io_uring_sqe *entries;
static int fd, ends[2];
static unsigned next;

static unsigned *word(unsigned offset) {
    return (unsigned *)(rings + offset);
}
static struct io_uring_sqe *add(unsigned char opcode, int on) {
    struct io_uring_sqe *entry = &entries[next];
    word(params.sq_off.array)[next] = next;
    *entry = (struct io_uring_sqe){.opcode = opcode, .fd = on, .user_data = ++next};
    return entry;
}
static void submit(unsigned wait) {
    __atomic_store_n(word(params.sq_off.tail), next, __ATOMIC_RELEASE);
    unsigned taken = *word(params.sq_off.head);
    int count = (int)NEED(
        syscall(SYS_io_uring_enter, fd, next - taken, wait, IORING_ENTER_GETEVENTS, NULL, 0));
    NEED(count == (int)(next - taken) ? 0 : -1);
}
static unsigned completions(void) {
    return __atomic_load_n(word(params.cq_off.tail), __ATOMIC_ACQUIRE);
}
static int listening(void) {
    int one = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    NEED(bind(one, (void *)&address, sizeof address));
    NEED(listen(one, 5));
    return one;
}

static char buffer[64];
static struct __kernel_timespec an_hour = {.tv_sec = 3600};

static void read_pipe(unsigned char flags) {
    struct io_uring_sqe *entry = add(IORING_OP_READ, ends[0]);
    entry->addr = (uintptr_t)buffer;
    entry->len = sizeof buffer;
    entry->flags = flags;
}
static void begin(const char *what) {
    if (strcmp(what, "poll") == 0) {
        add(IORING_OP_POLL_ADD, ends[0])->poll32_events = POLLIN;
    } else if (strcmp(what, "timeout") == 0) {
        struct io_uring_sqe *entry = add(IORING_OP_TIMEOUT, -1);
        entry->addr = (uintptr_t)&an_hour;
        entry->len = 1;
    } else if (strcmp(what, "accept") == 0) {
        add(IORING_OP_ACCEPT, listening())->ioprio = IORING_ACCEPT_MULTISHOT;
    } else if (strcmp(what, "linked") == 0) {
        read_pipe(IOSQE_IO_LINK);
        add(IORING_OP_NOP, -1);
    } else if (strcmp(what, "drained") == 0) {
        add(IORING_OP_POLL_ADD, ends[0])->poll32_events = POLLIN;
        add(IORING_OP_NOP, -1)->flags = IOSQE_IO_DRAIN;
    } else if (strcmp(what, "worker") == 0) {
        read_pipe(IOSQE_ASYNC);
    } else if (strcmp(what, "overflow") == 0) {
        for (int i = 0; i < 3 * ENTRIES; i++) {
            next = (unsigned)i;
            entries[i % ENTRIES] = (struct io_uring_sqe){.opcode = IORING_OP_NOP};
            word(params.sq_off.array)[i % ENTRIES] = (unsigned)i % ENTRIES;
            next++;
            submit(0);
        }
        return;
    } else if (strcmp(what, "shared") == 0) {
        if (NEED(fork()) == 0) {
            NEED(prctl(PR_SET_PDEATHSIG, SIGKILL));
            NEED(close_range(0, (unsigned)fd - 1, 0));
            for (;;)
                pause();
        }
        return;
    } else if (strcmp(what, "workers") == 0) {
        read_pipe(IOSQE_ASYNC);
        submit(0);
        NEED(write(ends[1], "x", 1));
        submit(1);
        return;
    } else {
        leave_out("no such request");
    }
    submit(0);
}

int main(int count, char **arguments) {
    NEED(pipe(ends));
    fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
    if (fd < 0)
        leave_out("this kernel has no io_uring");
    rings =
        mmap(NULL, params.sq_off.array + ENTRIES * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    entries = mmap(NULL, ENTRIES * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                   IORING_OFF_SQES);
    NEED(rings == MAP_FAILED || (void *)entries == MAP_FAILED ? -1 : 0);
    begin(count > 1 ? arguments[1] : "");
    unsigned before = completions();
    ready();
    await_go();
    CHECK(completions() == before, "%u completions, not %u", completions(), before);
    finish();
}
