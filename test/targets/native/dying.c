/* Counts calls of ptrace(2), and kills this program before the one whose number stands in a file
 * beside it. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <unistd.h>

static long last_call(void) {
    char path[4096] = {0};
    char number[32] = {0};
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 8);
    int file = length < 0 ? -1 : open(strcat(path, ".at"), O_RDONLY);
    if (file < 0 || read(file, number, sizeof number - 1) <= 0)
        _exit(3);
    close(file);
    return atol(number);
}

long dying_ptrace(int request, ...) {
    static long last, calls;
    if (!last)
        last = last_call();
    if (++calls == last)
        kill(getpid(), SIGKILL);
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    return ptrace(request, pid, address, data);
}
