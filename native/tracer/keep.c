/*
 * TCP connections of the target that go on in the image. They are looked at in repair mode, in
 * which a socket is of no use to its program: one at a time, for the moment of the look. Only
 * before the target is ended all of them are in it, as a socket in repair mode is closed without a
 * word to its peer. Meanwhile the hold drops their packets. If the target goes on instead, both are
 * undone; if it is left stopped, its connections are as they were, and the hold stays.
 */
#include "tracer.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/tcp.h: leaves repair mode and sends nothing. */
#define REPAIR_OFF_SILENT -1

static struct {
    uint8_t removal[MAX_WORDS * sizeof(uint64_t)];
    size_t removal_size;
    int *fds; /* the target's numbers of its connections */
    size_t count;
    int looked_at; /* our duplicate of the one in repair mode, or -1 */
    int reuse;     /* its SO_REUSEADDR, which repair mode changes */
} kept = {.looked_at = -1};

int keep_hold(const void *removal, size_t size) {
    memcpy(kept.removal, removal, size);
    kept.removal_size = size;
    return 0;
}

static void remove_hold(void) {
    if (!kept.removal_size)
        return;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    send(fd, kept.removal, kept.removal_size, 0);
    close(fd);
    kept.removal_size = 0;
}

/* A duplicate of the target's descriptor; a negative errno. */
static int duplicate(int fd) {
    int process = (int)syscall(SYS_pidfd_open, target.pid, 0);
    if (process < 0)
        return -errno;
    int copy = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
    int error = errno;
    close(process);
    return copy < 0 ? -error : copy;
}

static int set(int socket, int level, int option, int value) {
    return setsockopt(socket, level, option, &value, sizeof value) < 0 ? errno : 0;
}

static void leave(int socket, int reuse) {
    set(socket, IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF_SILENT);
    set(socket, SOL_SOCKET, SO_REUSEADDR, reuse);
    close(socket);
}

static void look_away(void) {
    if (kept.looked_at >= 0)
        leave(kept.looked_at, kept.reuse);
    kept.looked_at = -1;
}

static int enter(int fd, int *socket, int *reuse) {
    int copy = duplicate(fd);
    if (copy < 0)
        return -copy;
    socklen_t size = sizeof *reuse;
    int error = getsockopt(copy, SOL_SOCKET, SO_REUSEADDR, reuse, &size) < 0 ? errno : 0;
    if (!error)
        error = set(copy, IPPROTO_TCP, TCP_REPAIR, 1);
    if (error)
        close(copy);
    else
        *socket = copy;
    return error;
}

int keep_look(int fd) {
    look_away();
    if (fd < 0)
        return 0;
    int *longer = realloc(kept.fds, (kept.count + 1) * sizeof *kept.fds);
    if (!longer)
        return ENOMEM;
    kept.fds = longer;
    int error = enter(fd, &kept.looked_at, &kept.reuse);
    if (!error)
        kept.fds[kept.count++] = fd;
    return error;
}

int keep_seal(void) {
    int *reuses = calloc(kept.count + 1, sizeof *reuses);
    int error = reuses ? 0 : ENOMEM;
    size_t sealed = 0;
    look_away();
    while (!error && sealed < kept.count) {
        int socket;
        error = enter(kept.fds[sealed], &socket, &reuses[sealed]);
        if (!error) {
            close(socket); /* the target has it open */
            sealed++;
        }
    }
    while (error && sealed-- > 0) {
        int socket = duplicate(kept.fds[sealed]);
        if (socket >= 0)
            leave(socket, reuses[sealed]);
    }
    free(reuses);
    return error;
}

void keep_leave(void) {
    look_away();
    kept.removal_size = 0;
    kept.count = 0;
}

bool keep_undo(void) {
    bool any = kept.count > 0;
    look_away();
    remove_hold();
    kept.count = 0;
    return any;
}
