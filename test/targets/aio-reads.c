/*
 * Reads a file past the page cache (O_DIRECT), as many blocks at once as a context takes, without a
 * pause: the freeze comes while requests are in flight. Each block must come once, with its
 * content.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 64 << 10, BLOCKS = 64, DEPTH = 32 };

static aio_context_t context;
static int file;
static char *memory;
static struct iocb requests[DEPTH];
static unsigned position;

static void make_file(void) {
    file = open("aio-reads", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
    if (file < 0)
        leave_out("no file here can be read past the page cache (O_DIRECT)");
    memory = mmap(NULL, DEPTH * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED((intptr_t)memory);
    for (unsigned i = 0; i < BLOCKS; i++) {
        fill(memory, BLOCK, i);
        NEED(pwrite(file, memory, BLOCK, (off_t)i * BLOCK) == BLOCK ? 0 : -1);
    }
}

static void start(unsigned slot) {
    unsigned block = position++ * 29 % BLOCKS;
    requests[slot] = (struct iocb){.aio_data = block,
                                   .aio_fildes = (unsigned)file,
                                   .aio_lio_opcode = IOCB_CMD_PREAD,
                                   .aio_buf = (uintptr_t)memory + slot * BLOCK,
                                   .aio_nbytes = BLOCK,
                                   .aio_offset = (off_t)block * BLOCK};
    struct iocb *list = &requests[slot];
    NEED(syscall(SYS_io_submit, context, 1L, &list));
}

/* Waits for one; another is started instead, until nothing more is to be read. */
static void next(bool more) {
    struct io_event event;
    struct timespec long_enough = {.tv_sec = 20};
    long got = syscall(SYS_io_getevents, context, 1L, 1L, &event, &long_enough);
    if (got != 1) {
        fail("a read does not complete: %ld, %s", got, strerror(errno));
        finish();
    }
    unsigned slot = (unsigned)((struct iocb *)(uintptr_t)event.obj - requests);
    CHECK(slot < DEPTH && event.res == BLOCK, "slot %u, block %llu: %lld", slot, event.data,
          event.res);
    verify("a block", memory + slot * BLOCK, BLOCK, event.data);
    memset(memory + slot * BLOCK, 0, BLOCK);
    if (more)
        start(slot);
}

static atomic_bool over;

static void *read_on(void *unused) {
    while (!over)
        next(true);
    for (unsigned i = 0; i < DEPTH; i++)
        next(false);
    return unused;
}

int main(void) {
    pthread_t reader;
    make_file();
    NEED(syscall(SYS_io_setup, DEPTH, &context));
    for (unsigned slot = 0; slot < DEPTH; slot++)
        start(slot);
    NEED(-pthread_create(&reader, NULL, read_on, NULL));
    ready();
    await_go();
    over = true;
    NEED(-pthread_join(reader, NULL));
    CHECK(syscall(SYS_io_destroy, context) == 0, "the context cannot be destroyed");
    finish();
}
