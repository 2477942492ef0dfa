/*
 * TCP connections of the target that go on in the image. They are looked at in repair mode, in
 * which a socket is of no use to its program: one at a time, for the moment of the look. Only
 * before the target is ended all of them are in it, as a socket in repair mode is closed without a
 * word to its peer. Meanwhile the hold drops their packets. If the target goes on instead, both are
 * undone; if it is left stopped, its connections are as they were, and the hold stays. What is on
 * its way in a socket has no number in the target, and is known by a duplicate of ours.
 */
#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
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

struct connection {
    int fd; /* of the target, or ours */
    bool ours;
};

static struct {
    uint8_t removal[MAX_WORDS * sizeof(uint64_t)];
    size_t removal_size;
    struct connection *connections;
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

/* A duplicate; a negative errno. */
static int duplicate(struct connection of) {
    if (of.ours) {
        int copy = fcntl(of.fd, F_DUPFD_CLOEXEC, 0);
        return copy < 0 ? -errno : copy;
    }
    int process = (int)syscall(SYS_pidfd_open, target.pid, 0);
    if (process < 0)
        return -errno;
    int copy = (int)syscall(SYS_pidfd_getfd, process, of.fd, 0);
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

static void forget(void) {
    for (size_t i = 0; i < kept.count; i++)
        if (kept.connections[i].ours)
            close(kept.connections[i].fd);
    kept.count = 0;
}

static int enter(struct connection of, int *socket, int *reuse) {
    int copy = duplicate(of);
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

static int look(struct connection at) {
    look_away();
    struct connection *longer =
        realloc(kept.connections, (kept.count + 1) * sizeof *kept.connections);
    if (!longer)
        return ENOMEM;
    kept.connections = longer;
    int error = enter(at, &kept.looked_at, &kept.reuse);
    if (!error)
        kept.connections[kept.count++] = at;
    return error;
}

int keep_look(int fd) {
    if (fd >= 0)
        return look((struct connection){.fd = fd});
    look_away();
    return 0;
}

int keep_look_passed(int fd) {
    int error = fd < 0 ? EBADF : look((struct connection){.fd = fd, .ours = true});
    if (error && fd >= 0)
        close(fd);
    return error;
}

int keep_seal(void) {
    int *reuses = calloc(kept.count + 1, sizeof *reuses);
    int error = reuses ? 0 : ENOMEM;
    size_t sealed = 0;
    look_away();
    while (!error && sealed < kept.count) {
        int socket;
        error = enter(kept.connections[sealed], &socket, &reuses[sealed]);
        if (!error) {
            close(socket); /* not the last one that is open */
            sealed++;
        }
    }
    while (error && sealed-- > 0) {
        int socket = duplicate(kept.connections[sealed]);
        if (socket >= 0)
            leave(socket, reuses[sealed]);
    }
    free(reuses);
    return error;
}

void keep_leave(void) {
    look_away();
    forget();
    kept.removal_size = 0;
}

bool keep_undo(void) {
    bool any = kept.count > 0;
    look_away();
    remove_hold();
    forget();
    return any;
}
