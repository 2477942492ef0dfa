/*
 * IPv4 and IPv6 sockets: what listens is listening again, UDP goes on, and connections are found
 * closed by a peer that has gone, with the rest of what it had sent.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What may be unread: more than net.core.rmem_max is for root. */
enum { LARGE = 1 << 20, SMALL = 1 << 17, BACKLOG = 33 };

typedef struct sockaddr_in6 address;

static address name_of(int fd) {
    address name = {0};
    NEED(getsockname(fd, (struct sockaddr *)&name, &(socklen_t){sizeof name}));
    return name;
}
static int option(int fd, int level, int name) {
    int value = -1;
    NEED(getsockopt(fd, level, name, &value, &(socklen_t){sizeof value}));
    return value;
}
static void set(int fd, int level, int name, int value) {
    NEED(setsockopt(fd, level, name, &value, sizeof value));
}
/* A socket at the loopback address of its family, with a port of the kernel's choice. */
static int bound(int family, int type) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    int fd = (int)NEED(socket(family, type, 0));
    NEED(family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof v4)
                           : bind(fd, (struct sockaddr *)&v6, sizeof v6));
    return fd;
}
static int connect_to(int fd, int family) {
    address name = name_of(fd);
    if (family == AF_INET && name.sin6_family == AF_INET6)
        *(struct sockaddr_in *)&name =
            (struct sockaddr_in){.sin_family = AF_INET,
                                 .sin_port = name.sin6_port,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = (int)NEED(socket(family, SOCK_STREAM, 0));
    NEED(connect(client, (struct sockaddr *)&name, sizeof name));
    return client;
}

static int listener, dual, plain;
static address listener_name, dual_name, plain_name;
static void make_listeners(void) {
    listener = bound(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    set(listener, IPPROTO_TCP, TCP_NODELAY, 1);
    set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
    set(listener, SOL_SOCKET, SO_RCVBUF, 30000);
    NEED(listen(listener, BACKLOG));
    listener_name = name_of(listener);
    dual = bound(AF_INET6, SOCK_STREAM);
    NEED(listen(dual, 1));
    dual_name = name_of(dual);
    plain = bound(AF_INET, SOCK_STREAM);
    plain_name = name_of(plain);
    /* The server closes first: its end stays behind in TIME_WAIT, and keeps the port. */
    int client = connect_to(listener, AF_INET);
    int server;
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    NEED(poll(&waiting, 1, -1));
    server = (int)NEED(accept(listener, NULL, NULL));
    NEED(close(server));
    char byte;
    NEED(read(client, &byte, 1));
    NEED(close(client));
}
static void talk(const char *what, int fd, int family) {
    char bytes[8] = {0};
    int client = connect_to(fd, family);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    CHECK(poll(&waiting, 1, 10000) == 1, "%s: nobody has come", what);
    int server = (int)NEED(accept(fd, NULL, NULL));
    NEED(write(client, "hello", 5));
    CHECK(read(server, bytes, sizeof bytes) == 5 && strcmp(bytes, "hello") == 0,
          "%s: the connection carries %s", what, bytes);
    close(client);
    close(server);
}
static void check_listeners(void) {
    address now = name_of(listener);
    CHECK(memcmp(&now, &listener_name, sizeof now) == 0, "listener: another address");
    now = name_of(dual);
    CHECK(memcmp(&now, &dual_name, sizeof now) == 0, "dual: another address");
    now = name_of(plain);
    CHECK(memcmp(&now, &plain_name, sizeof now) == 0, "bound socket: another address");
    CHECK(option(listener, SOL_SOCKET, SO_ACCEPTCONN) == 1, "listener: listens no more");
    CHECK(option(listener, SOL_SOCKET, SO_REUSEADDR) == 1, "listener: SO_REUSEADDR");
    CHECK(option(dual, SOL_SOCKET, SO_REUSEADDR) == 0, "dual: SO_REUSEADDR");
    CHECK(option(listener, IPPROTO_TCP, TCP_NODELAY) == 1, "listener: TCP_NODELAY");
    CHECK(option(listener, SOL_SOCKET, SO_RCVBUF) == 60000, "listener: SO_RCVBUF");
    struct tcp_info info;
    NEED(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){sizeof info}));
    CHECK(info.tcpi_sacked == BACKLOG, "listener: backlog %u", info.tcpi_sacked);
    CHECK(accept(listener, NULL, NULL) == -1 && errno == EAGAIN, "listener: somebody is there");
    talk("listener", listener, AF_INET);
    talk("dual stack, IPv6", dual, AF_INET6);
    talk("dual stack, IPv4", dual, AF_INET);
    NEED(listen(plain, 1));
    talk("bound socket", plain, AF_INET);
}

static int receiver, sender;
static void make_datagrams(void) {
    receiver = bound(AF_INET, SOCK_DGRAM);
    sender = bound(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);
    address to = name_of(receiver);
    NEED(connect(sender, (struct sockaddr *)&to, sizeof(struct sockaddr_in)));
}
static void check_datagrams(void) {
    char bytes[16];
    struct sockaddr_in from = {0};
    NEED(send(sender, "datagram", 8, 0));
    CHECK(recvfrom(receiver, bytes, sizeof bytes, 0, (struct sockaddr *)&from,
                   &(socklen_t){sizeof from}) == 8,
          "no datagram");
    address name = name_of(sender);
    CHECK(memcmp(&from, &name, 8) == 0, "the datagram came from another port");
    CHECK(recv(sender, bytes, 1, 0) == -1 && errno == EAGAIN, "sender: there is something");
}

/* `accepted`: by a listener of IPv6, from a client of each family. */
static int accepted[2];
static int closed[2], large[2], fired[2], reset, reset_unread, refused, set_of_closed, quiet_set;
static char content[LARGE], back[LARGE];
static int size;

static void watch(int set_fd, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    NEED(epoll_ctl(set_fd, EPOLL_CTL_ADD, fd, &event));
}
static void make_pair(int with, int pair[2]) {
    pair[0] = connect_to(with, AF_INET);
    pair[1] = (int)NEED(accept(with, NULL, NULL));
}
static void make_connections(void) {
    int with = bound(AF_INET, SOCK_STREAM);
    NEED(listen(with, 5));
    make_pair(with, closed);
    NEED(write(closed[1], "the rest", 8));
    set_of_closed = (int)NEED(epoll_create1(0));
    watch(set_of_closed, closed[0], EPOLLIN | EPOLLRDHUP | EPOLLET);

    for (int i = 0; i < 2; i++) {
        int client = connect_to(dual, i == 0 ? AF_INET6 : AF_INET);
        accepted[i] = (int)NEED(accept(dual, NULL, NULL));
        NEED(write(client, "sent", 4));
    }

    make_pair(with, large);
    bool root = geteuid() == 0;
    set(large[0], SOL_SOCKET, root ? SO_RCVBUFFORCE : SO_RCVBUF, 4 * size);
    set(large[1], SOL_SOCKET, root ? SO_SNDBUFFORCE : SO_SNDBUF, 4 * size);
    fill(content, (size_t)size, 3);
    NEED(write(large[1], content, (size_t)size) == size ? 0 : -1);
    for (int got = 0; got < size;)
        NEED(ioctl(large[0], FIONREAD, &got));

    make_pair(with, fired);
    struct epoll_event event;
    quiet_set = (int)NEED(epoll_create1(0));
    watch(quiet_set, fired[0], EPOLLOUT | EPOLLONESHOT);
    NEED(epoll_wait(quiet_set, &event, 1, 0) - 1);

    int pair[2];
    make_pair(with, pair);
    struct linger at_once = {.l_onoff = 1};
    NEED(setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    NEED(close(pair[1]));
    reset = pair[0];
    make_pair(with, pair);
    NEED(send(pair[1], "data", 4, 0));
    char data[4];
    NEED(recv(pair[0], data, sizeof data, MSG_PEEK | MSG_WAITALL));
    NEED(setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    NEED(close(pair[1]));
    reset_unread = pair[0];

    int nobody = bound(AF_INET, SOCK_STREAM);
    address name = name_of(nobody);
    refused = (int)NEED(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)connect(refused, (struct sockaddr *)&name, sizeof(struct sockaddr_in));
    NEED(close(nobody));
    NEED(close(with));
}
static void is_gone(const char *what, int fd) {
    char byte;
    address name;
    CHECK(read(fd, &byte, 1) == 0, "%s: no end of file", what);
    CHECK(write(fd, "x", 1) == -1 && errno == EPIPE, "%s: write: %s", what, strerror(errno));
    CHECK(getpeername(fd, (struct sockaddr *)&name, &(socklen_t){sizeof name}) == -1 &&
              errno == ENOTCONN,
          "%s: has a peer", what);
}
static void check_connections(void) {
    struct epoll_event event;
    int got = epoll_wait(set_of_closed, &event, 1, 0);
    CHECK(got == 1 && (event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) ==
                          (EPOLLIN | EPOLLRDHUP | EPOLLHUP),
          "closed connection: %d events, %x", got, event.events);
    char bytes[16] = {0};
    CHECK(read(closed[0], bytes, sizeof bytes) == 8 && strcmp(bytes, "the rest") == 0,
          "closed connection: the rest is %s", bytes);
    is_gone("closed connection", closed[0]);
    is_gone("its other end", closed[1]);
    for (int i = 0; i < 2; i++) {
        CHECK(read(accepted[i], bytes, sizeof bytes) == 4 && memcmp(bytes, "sent", 4) == 0,
              "connection to IPv6: the rest");
        is_gone("connection to IPv6", accepted[i]);
    }
    CHECK(recv(large[0], back, (size_t)size, MSG_WAITALL) == size, "large input is short");
    verify("large input", back, (size_t)size, 3);
    is_gone("large input", large[0]);
    CHECK(epoll_wait(quiet_set, &event, 1, 0) == 0, "a one-shot member fires again");
    CHECK(read(reset, bytes, 1) == -1 && errno == ECONNRESET, "reset connection: %s",
          strerror(errno));
    is_gone("reset connection", reset);
    CHECK(read(reset_unread, bytes, sizeof bytes) == 4 && memcmp(bytes, "data", 4) == 0,
          "reset connection: the rest");
    CHECK(read(reset_unread, bytes, 1) == -1 && errno == ECONNRESET,
          "reset connection, behind the rest: %s", strerror(errno));
    CHECK(option(refused, SOL_SOCKET, SO_ERROR) == ECONNREFUSED, "refused connection");
}

int main(void) {
    size = geteuid() == 0 ? LARGE : SMALL;
    signal(SIGPIPE, SIG_IGN);
    make_listeners();
    make_datagrams();
    make_connections();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_listeners();
    check_datagrams();
    check_connections();
    finish();
}
