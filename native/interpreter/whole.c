/*
 * An image that is not all there: a copy that broke off, a machine that crashed before its disk had
 * everything. The kernel maps what a file lacks without a word, and whoever touches it gets SIGBUS.
 * The interpreter lies in front of all contents, so it can say what is wrong; until it has looked
 * it uses nothing but its own code and the stack that the kernel made.
 */
#include "interpreter.h"

enum { SEEK_END = 2 };

extern const uint64_t image_size __attribute__((visibility("hidden")));

void require_whole(const uint64_t *stack);

static int64_t open_self(const uint64_t *stack) {
    int64_t fd = CALL4(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0);
    if (failed(fd))
        fd = CALL4(SYS_openat, AT_FDCWD, auxiliary(stack, AT_EXECFN), O_RDONLY | O_CLOEXEC, 0);
    return fd;
}

__attribute__((noreturn)) static void refuse(struct line *line) {
    line_text(line, ": copy or freeze it again");
    line_write(line, 2);
    quit(EXIT_CANNOT_THAW);
}

void require_whole(const uint64_t *stack) {
    struct line line;
    int64_t size = (int64_t)image_size;
    int64_t fd = open_self(stack);
    line_start(&line, stack[0] ? base_name((const char *)stack[1]) : "frozen");
    /* What cannot be opened has a step of the thaw that says so. */
    if (!failed(fd)) {
        size = CALL3(SYS_lseek, fd, 0, SEEK_END);
        CALL1(SYS_close, fd);
    }
    if (size < (int64_t)image_size) {
        line_text(&line, "the image is cut short: ");
        line_number(&line, size);
        line_text(&line, " of ");
        line_number(&line, (int64_t)image_size);
        line_text(&line, " bytes are there");
        refuse(&line);
    }
    if (header()->magic != THAW_MAGIC) {
        line_text(&line, "the image is damaged: its thaw program is not there");
        refuse(&line);
    }
}
