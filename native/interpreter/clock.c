/* The monotonic clock must not go back: a time namespace puts it ahead on a machine started later.
 */
#include "interpreter.h"

enum { CLOCK_BOOTTIME = 7, CLONE_NEWTIME = 0x80, O_WRONLY = 1 };
#define SECOND 1000000000ll

int64_t now(int clock) {
    int64_t time[2] = {0, 0};
    CALL2(SYS_clock_gettime, clock, time);
    return time[0] * SECOND + time[1];
}

static void offset_line(struct line *line, const char *clock, int64_t nanoseconds) {
    line_text(line, clock);
    line_number(line, nanoseconds / SECOND);
    line_text(line, " ");
    line_number(line, nanoseconds % SECOND);
    line_text(line, "\n");
}

static int64_t enter(int64_t monotonic, int64_t boottime) {
    struct line text = {.used = 0};
    int64_t result = CALL1(SYS_unshare, CLONE_NEWTIME);
    if (failed(result))
        return result;
    int64_t fd = CALL4(SYS_openat, AT_FDCWD, "/proc/self/timens_offsets", O_WRONLY, 0);
    if (failed(fd))
        return fd;
    offset_line(&text, "monotonic ", monotonic);
    offset_line(&text, "boottime ", boottime);
    result = CALL3(SYS_write, fd, text.text, text.used);
    CALL1(SYS_close, fd);
    return failed(result) ? result : 0;
}

int64_t time_namespace(int64_t monotonic, int64_t boottime) {
    int64_t behind = monotonic - now(CLOCK_MONOTONIC);
    int64_t boot_behind = boottime - now(CLOCK_BOOTTIME);
    if (behind <= 0 && boot_behind <= 0)
        return 0;
    int64_t result = enter(behind > 0 ? behind : 0, boot_behind > 0 ? boot_behind : 0);
    if (!failed(result)) {
        set_flag(FLAG_TIME_NAMESPACE);
        return 0;
    }
    struct line line;
    line_start(&line, header()->name);
    line_text(&line, behind > 0 ? "the monotonic" : "the boot-time");
    line_text(&line, " clock is behind the frozen one by ");
    line_number(&line, (behind > 0 ? behind : boot_behind) / SECOND + 1);
    line_text(&line, " s: timers and deadlines may wait that long (");
    line_error(&line, result);
    line_text(&line, ")");
    line_end(&line);
    return 0;
}
