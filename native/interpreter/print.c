/* Messages: one line each, written at once so that lines of several threads do not mix. */
#include "interpreter.h"

void line_text(struct line *line, const char *text) {
    while (*text && line->used < sizeof line->text - 1)
        line->text[line->used++] = *text++;
}

void line_start(struct line *line, const char *name) {
    line->used = 0;
    line_text(line, name);
    line_text(line, ": ");
}

static void digits(struct line *line, uint64_t value, uint32_t base) {
    char text[24];
    uint32_t at = sizeof text;
    text[--at] = 0;
    do {
        text[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    line_text(line, text + at);
}

void line_number(struct line *line, int64_t value) {
    if (value < 0)
        line_text(line, "-");
    digits(line, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

void line_hex(struct line *line, uint64_t value) {
    line_text(line, "0x");
    digits(line, value, 16);
}

void line_error(struct line *line, int64_t result) {
    line_text(line, errno_name(-result));
}

int is_about_ids(int64_t result) {
    return result == -EEXIST || result == -EPERM || result == -EINVAL || result == -ENOSYS;
}

void line_refusal(struct line *line, int64_t result) {
    if (result == -EEXIST) {
        line_text(line, " is taken: ");
    } else {
        line_text(line, result == -EPERM ? " is not permitted (" : " is not to be had (");
        line_error(line, result);
        line_text(line, "): ");
    }
}

void line_end(struct line *line) {
    const uint64_t *messages = (const uint64_t *)header()->messages;
    line_write(line, messages ? *messages : 2);
}

void line_write(struct line *line, uint64_t fd) {
    /* Names of files and threads may hold anything that controls a terminal. */
    for (uint32_t i = 0; i < line->used; i++) {
        unsigned char byte = (unsigned char)line->text[i];
        if (byte < ' ' || byte == 0x7f)
            line->text[i] = '?';
    }
    line->text[line->used++] = '\n';
    CALL3(SYS_write, fd, line->text, line->used);
}
