/*
 * Unix domain sockets within the process: pairs of all types with what waits in them, ends that are
 * shut down or gone, names, options. With an argument: also the end of a pair whose other end
 * another process has, which is to be found closed. Works in the current directory.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STREAM, DATAGRAM, PACKETS, TYPES };
static const int types[TYPES] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
static const char *const type_names[TYPES] = {"stream", "datagram", "seqpacket"};

static void holds(const char *what, int fd, const char *text) {
    char buffer[256] = {0};
    ssize_t got = recv(fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
    CHECK(got == (ssize_t)strlen(text) && strcmp(buffer, text) == 0,
          "%s: recv gives %zd \"%s\", not \"%s\"", what, got, got < 0 ? strerror(errno) : buffer,
          text);
}
static void recv_fails(const char *what, int fd, int wanted) {
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
    CHECK(got == -1 && errno == wanted, "%s: recv gives %zd, %s", what, got, strerror(errno));
}
static void send_fails(const char *what, int fd, int wanted) {
    ssize_t got = send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    CHECK(got == -1 && errno == wanted, "%s: send gives %zd, %s", what, got, strerror(errno));
}
static void ends(const char *what, int fd) {
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
    CHECK(got == 0, "%s: recv gives %zd, not the end", what, got);
}
static void talk(const char *what, int from, int to) {
    CHECK(send(from, "talk", 4, MSG_NOSIGNAL) == 4, "%s: send: %s", what, strerror(errno));
    holds(what, to, "talk");
}
static int option(int fd, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    NEED(getsockopt(fd, SOL_SOCKET, name, &value, &length));
    return value;
}

/* Pairs. `twin` is a dup, which shares the flags. */
static int pair[TYPES][2], twin[TYPES], full[2], half[2], epoll;
static size_t filled;
static char big[1 << 20], back[1 << 20];
static void make_pairs(void) {
    struct timeval patience = {3, 500000};
    for (int i = 0; i < TYPES; i++) {
        NEED(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, pair[i]));
        twin[i] = (int)NEED(dup(pair[i][0]));
        NEED(fcntl(twin[i], F_SETFL, O_RDWR | O_NONBLOCK));
        NEED(send(pair[i][0], "to the second", 13, 0));
        NEED(send(pair[i][1], "to the first", 12, 0));
        NEED(setsockopt(pair[i][1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
        int size = 20000 + i;
        NEED(setsockopt(pair[i][0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    }
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, full));
    fill(big, sizeof big, 5);
    for (ssize_t got; (got = send(full[0], big + filled, 5000, MSG_DONTWAIT)) > 0;)
        filled += (size_t)got;
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, half));
    NEED(send(half[0], "last words", 10, 0));
    NEED(shutdown(half[0], SHUT_WR));
    epoll = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 11};
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, full[1], &event));
    NEED(epoll_wait(epoll, &event, 1, 0) == 1 ? 0 : -1);
    event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 12};
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, half[1], &event));
}
static void check_pairs(void) {
    for (int i = 0; i < TYPES; i++) {
        const char *name = type_names[i];
        struct timeval patience;
        struct ucred maker;
        socklen_t length = sizeof patience, size = sizeof maker;
        CHECK(option(pair[i][0], SO_TYPE) == types[i], "%s: SO_TYPE", name);
        CHECK(fcntl(pair[i][0], F_GETFL) == (O_RDWR | O_NONBLOCK), "%s: flags of a dup", name);
        CHECK(fcntl(pair[i][1], F_GETFL) == O_RDWR, "%s: flags", name);
        CHECK(fcntl(pair[i][0], F_GETFD) == FD_CLOEXEC && fcntl(twin[i], F_GETFD) == 0,
              "%s: FD_CLOEXEC", name);
        CHECK(option(pair[i][0], SO_SNDBUF) == 2 * (20000 + i), "%s: SO_SNDBUF is %d", name,
              option(pair[i][0], SO_SNDBUF));
        CHECK(option(pair[i][0], SO_BUF_LOCK) == 1 && option(pair[i][1], SO_BUF_LOCK) == 0,
              "%s: SO_BUF_LOCK is %d and %d", name, option(pair[i][0], SO_BUF_LOCK),
              option(pair[i][1], SO_BUF_LOCK));
        NEED(getsockopt(pair[i][1], SOL_SOCKET, SO_RCVTIMEO, &patience, &length));
        CHECK(patience.tv_sec == 3 && patience.tv_usec == 500000, "%s: SO_RCVTIMEO", name);
        NEED(getsockopt(pair[i][0], SOL_SOCKET, SO_PEERCRED, &maker, &size));
        CHECK(maker.pid == getpid() && maker.uid == getuid() && maker.gid == getgid(),
              "%s: SO_PEERCRED tells %d", name, maker.pid);
        holds(name, pair[i][1], "to the second");
        holds(name, twin[i], "to the first");
        recv_fails(name, pair[i][0], EAGAIN);
        recv_fails(name, pair[i][1], EAGAIN);
        talk(name, pair[i][0], pair[i][1]);
        talk(name, pair[i][1], pair[i][0]);
    }
    struct epoll_event events[4];
    int got = epoll_wait(epoll, events, 4, 0);
    CHECK(got == 1 && events[0].data.u64 == 12, "epoll: %d events, first of %lu", got,
          got > 0 ? events[0].data.u64 : 0);
    size_t length = 0;
    for (ssize_t part; (part = recv(full[1], back + length, 7777, MSG_DONTWAIT)) > 0;)
        length += (size_t)part;
    CHECK(length == filled, "full stream: %zu bytes, not %zu", length, filled);
    verify("full stream", back, length < filled ? length : filled, 5);
    talk("full stream", full[0], full[1]);
    holds("half-closed stream", half[1], "last words");
    ends("half-closed stream", half[1]);
    send_fails("half-closed stream", half[0], EPIPE);
    talk("half-closed stream", half[1], half[0]);
}

/* Ends whose other end is closed. */
static int rest, unread, deaf, packets_rest;
static void make_gone(void) {
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    NEED(send(ends[1], "the rest", 8, 0));
    NEED(close(ends[1]));
    rest = ends[0];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    NEED(send(ends[0], "never read", 10, 0));
    NEED(close(ends[1]));
    unread = ends[0];
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    NEED(close(ends[1]));
    deaf = ends[0];
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    NEED(send(ends[1], "packet", 6, 0));
    NEED(close(ends[1]));
    packets_rest = ends[0];
}
static void check_gone(void) {
    struct pollfd look = {.fd = rest, .events = POLLIN};
    CHECK(poll(&look, 1, 0) == 1 && look.revents == (POLLIN | POLLHUP),
          "closed peer: poll gives %x", look.revents);
    holds("closed peer", rest, "the rest");
    ends("closed peer", rest);
    send_fails("closed peer", rest, EPIPE);
    recv_fails("peer closed with unread bytes", unread, ECONNRESET);
    ends("peer closed with unread bytes", unread);
    send_fails("closed datagram peer", deaf, ECONNREFUSED);
    send_fails("closed datagram peer, again", deaf, ENOTCONN);
    holds("closed packet peer", packets_rest, "packet");
    ends("closed packet peer", packets_rest);
}

/* What waits, with the credentials of whoever sent it; those of nobody (pid -1) if it bears none.
 */
static ssize_t receive_signed(int fd, char *text, size_t size, struct ucred *from) {
    char control[CMSG_SPACE(sizeof *from)];
    struct iovec part = {text, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    struct cmsghdr *header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
    *from = (struct ucred){.pid = -1};
    if (header && header->cmsg_type == SCM_CREDENTIALS)
        memcpy(from, CMSG_DATA(header), sizeof *from);
    return got;
}

/* Names. */
struct named {
    struct sockaddr_un address;
    socklen_t length;
    int listener, client, accepted;
};
static struct named by_path, abstract, automatic, unlinked;
static int datagrams, sender, plain;
static char datagram_path[sizeof((struct sockaddr_un *)0)->sun_path];
static void at_path(struct sockaddr_un *address, const char *name) {
    char folder[PATH_MAX];
    NEED(getcwd(folder, sizeof folder) ? 0 : -1);
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", folder, name);
    NEED(length < (int)sizeof address->sun_path ? 0 : -1);
    unlink(address->sun_path);
}
static void make_named(struct named *named, int backlog) {
    named->listener = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(bind(named->listener, (struct sockaddr *)&named->address, named->length));
    NEED(listen(named->listener, backlog));
    named->length = sizeof named->address;
    NEED(getsockname(named->listener, (struct sockaddr *)&named->address, &named->length));
    named->client = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(connect(named->client, (struct sockaddr *)&named->address, named->length));
    named->accepted = (int)NEED(accept(named->listener, NULL, NULL));
    NEED(send(named->client, "asked", 5, 0));
    NEED(send(named->accepted, "answered", 8, 0));
}
static void make_names(void) {
    static const int on = 1;
    at_path(&by_path.address, "by-path");
    by_path.length = sizeof by_path.address;
    make_named(&by_path, 3);
    NEED(chmod(by_path.address.sun_path, 0610));
    abstract.address.sun_family = AF_UNIX;
    int length = sprintf(abstract.address.sun_path + 1, "abstract name%c%d", 0, getpid());
    abstract.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    make_named(&abstract, 3);
    automatic.address.sun_family = AF_UNIX;
    automatic.length = sizeof(sa_family_t);
    make_named(&automatic, 3);
    at_path(&unlinked.address, "unlinked");
    unlinked.length = sizeof unlinked.address;
    make_named(&unlinked, 3);
    NEED(close(unlinked.listener));
    NEED(unlink(unlinked.address.sun_path));
    struct sockaddr_un address;
    at_path(&address, "datagrams");
    strcpy(datagram_path, address.sun_path);
    datagrams = (int)NEED(socket(AF_UNIX, SOCK_DGRAM, 0));
    NEED(bind(datagrams, (struct sockaddr *)&address, sizeof address));
    NEED(setsockopt(datagrams, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    sender = (int)NEED(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    NEED(connect(sender, (struct sockaddr *)&address, sizeof address));
    plain = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
}
static void named(const char *what, int fd, const struct named *wanted, bool peer) {
    struct sockaddr_un address = {0};
    socklen_t length = sizeof address;
    NEED((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&address, &length));
    CHECK(length == wanted->length && memcmp(&address, &wanted->address, length) == 0,
          "%s: %s gives %u bytes: %s", what, peer ? "getpeername" : "getsockname", length,
          address.sun_path + (address.sun_path[0] == 0));
}
static void nameless(const char *what, int fd) {
    struct sockaddr_un address = {0};
    socklen_t length = sizeof address;
    NEED(getsockname(fd, (struct sockaddr *)&address, &length));
    CHECK(length == sizeof(sa_family_t), "%s: has a name of %u bytes", what, length);
}
static void check_connection(const char *what, const struct named *name) {
    named(what, name->accepted, name, false);
    named(what, name->client, name, true);
    nameless(what, name->client);
    holds(what, name->accepted, "asked");
    holds(what, name->client, "answered");
    talk(what, name->client, name->accepted);
    talk(what, name->accepted, name->client);
}
static void check_listener(const char *what, const struct named *name) {
    named(what, name->listener, name, false);
    CHECK(option(name->listener, SO_ACCEPTCONN) == 1, "%s: does not listen", what);
    CHECK(option(name->client, SO_ACCEPTCONN) == 0, "%s: a client listens", what);
    int made = 0;
    for (int client; made < 100; made++) {
        client = (int)NEED(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
        if (connect(client, (const struct sockaddr *)&name->address, name->length) != 0)
            break;
    }
    CHECK(made == 4, "%s: %d connections wait, the backlog is 3", what, made);
    int accepted = accept(name->listener, NULL, NULL);
    CHECK(accepted >= 0, "%s: accept: %s", what, strerror(errno));
}
static void check_names(void) {
    struct stat status;
    check_connection("path", &by_path);
    check_connection("abstract", &abstract);
    check_connection("autobind", &automatic);
    check_connection("unlinked", &unlinked);
    check_listener("path", &by_path);
    check_listener("abstract", &abstract);
    check_listener("autobind", &automatic);
    CHECK(stat(by_path.address.sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
              (status.st_mode & 07777) == 0610 && status.st_uid == geteuid(),
          "socket file: mode %o", status.st_mode);
    CHECK(access(unlinked.address.sun_path, F_OK) == -1, "an unlinked socket file is there");
    nameless("unconnected", plain);
    send_fails("unconnected", plain, ENOTCONN);

    char text[16] = {0};
    struct ucred from;
    CHECK(send(sender, "datagram", 8, 0) == 8, "connected by name: %s", strerror(errno));
    CHECK(receive_signed(datagrams, text, sizeof text, &from) == 8, "bound datagram socket: %s",
          strerror(errno));
    CHECK(from.pid == getpid(), "SO_PASSCRED");
    CHECK(stat(datagram_path, &status) == 0 && S_ISSOCK(status.st_mode), "datagram socket's file");
}

/* Credentials that wait. */
static int credentials[2];
static void make_credentials(void) {
    static const int on = 1;
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, credentials));
    NEED(setsockopt(credentials[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    NEED(send(credentials[0], "signed", 6, 0));
}
static void check_credentials(void) {
    char text[16] = {0};
    struct ucred from;
    ssize_t got = receive_signed(credentials[1], text, sizeof text, &from);
    CHECK(got == 6 && strcmp(text, "signed") == 0, "stream with credentials: %zd", got);
    CHECK(from.pid == getpid() && from.uid == getuid() && from.gid == getgid(),
          "credentials of pid %d", from.pid);
    struct sockaddr_un address;
    socklen_t length = sizeof address;
    NEED(getsockname(credentials[0], (struct sockaddr *)&address, &length));
    CHECK(length == sizeof(sa_family_t), "a sender has got a name");
}

/* Messages whose receiver is told by pidfds who sent them, since Linux 6.5. */
enum { OPTION_PASSPIDFD = 76, MESSAGE_PIDFD = 4 };
static int told[2] = {-1, -1};
static void make_told(void) {
    static const int on = 1;
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, told));
    if (setsockopt(told[1], SOL_SOCKET, OPTION_PASSPIDFD, &on, sizeof on) == -1 &&
        errno == ENOPROTOOPT)
        return;
    NEED(send(told[0], "first", 5, 0));
    NEED(send(told[0], "second", 6, 0));
}
/* The id of a process, by the file about its pidfd. */
static int id_of(int pidfd) {
    char path[64], line[128];
    int id = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    FILE *info = fopen(path, "r");
    while (info && fgets(line, sizeof line, info) && sscanf(line, "Pid: %d", &id) != 1) {
    }
    if (info)
        fclose(info);
    return id;
}
static void check_told(void) {
    socklen_t length = sizeof(int);
    int on = 0;
    if (getsockopt(told[1], SOL_SOCKET, OPTION_PASSPIDFD, &on, &length) == -1)
        return;
    CHECK(on == 1, "SO_PASSPIDFD is %d", on);
    for (int i = 0; i < 3; i++) {
        char text[16], control[CMSG_SPACE(sizeof(int))];
        struct iovec part = {text, sizeof text};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        if (i == 2)
            NEED(send(told[0], "third", 5, 0));
        CHECK(recvmsg(told[1], &message, MSG_DONTWAIT) == (i == 1 ? 6 : 5), "message %d", i);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        int pidfd = -1;
        CHECK(header && header->cmsg_type == MESSAGE_PIDFD, "message %d comes without a pidfd", i);
        if (header)
            memcpy(&pidfd, CMSG_DATA(header), sizeof pidfd);
        CHECK(id_of(pidfd) == getpid(), "message %d: a pidfd of %d", i, id_of(pidfd));
        close(pidfd);
    }
}

/* A peer in another process: a child of a child, which is nobody's child by now. */
static int outside = -1;
static void make_outside(void) {
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    NEED(send(ends[1], "had arrived", 11, 0));
    pid_t child = (pid_t)NEED(fork());
    if (child == 0) {
        if (fork() == 0) {
            char byte;
            NEED(close(ends[0]));
            NEED(close(1));
            NEED(close(2));
            /* It ends with the process that is frozen. */
            while (read(ends[1], &byte, 1) > 0) {
            }
        }
        _exit(0);
    }
    NEED(waitpid(child, NULL, 0));
    NEED(close(ends[1]));
    outside = ends[0];
}
static void check_outside(void) {
    holds("peer outside", outside, "had arrived");
    ends("peer outside", outside);
    send_fails("peer outside", outside, EPIPE);
}

int main(int argc, char **argv) {
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    /* First, so that the other process has nothing else of this one. */
    if (argc > 1)
        make_outside();
    make_pairs();
    make_gone();
    make_names();
    make_credentials();
    make_told();
    ready();
    await_go();
    check_pairs();
    check_gone();
    check_names();
    check_credentials();
    check_told();
    if (argc > 1)
        check_outside();
    finish();
}
