/*
 * How sockets have come by their addresses: by bind(2), by connect(2) or by the kernel's choice,
 * which connect(2) to nothing shows; and by options that are off by now.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct sockaddr_in6 address;

static socklen_t size_of(int family) {
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(address);
}
static address host(int family, const char *text, in_port_t port) {
    address name = {.sin6_family = (sa_family_t)family, .sin6_port = port};
    void *at = family == AF_INET ? (void *)&((struct sockaddr_in *)&name)->sin_addr
                                 : (void *)&name.sin6_addr;
    NEED(inet_pton(family, text, at) - 1);
    return name;
}
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
static int set(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}
static int bind_to(int fd, address name) {
    return bind(fd, (struct sockaddr *)&name, size_of(name.sin6_family));
}
static int connect_to(int fd, address name) {
    return connect(fd, (struct sockaddr *)&name, size_of(name.sin6_family));
}

/* Datagrams: what they are bound to before they are connected, and what is left after it. */
static struct {
    const char *what;
    int family;
    const char *bound; /* NULL: to nothing */
    bool port;         /* a port of the program's choice */
    const char *peer;
    int fd;
    int only;
    address name;
} ways[] = {
    {"connected alone", AF_INET, NULL, false, "127.0.0.1", -1, 0, {0}},
    {"bound to a port", AF_INET, "0.0.0.0", true, "127.0.0.1", -1, 0, {0}},
    {"bound to any port", AF_INET, "0.0.0.0", false, "127.0.0.1", -1, 0, {0}},
    {"bound to a host", AF_INET, "127.0.0.2", false, "127.0.0.1", -1, 0, {0}},
    {"bound to both", AF_INET, "127.0.0.2", true, "127.0.0.1", -1, 0, {0}},
    {"bound to a host, not connected", AF_INET, "127.0.0.2", false, NULL, -1, 0, {0}},
    {"IPv6, connected alone", AF_INET6, NULL, false, "::1", -1, 0, {0}},
    {"IPv6, bound to a port", AF_INET6, "::", true, "::1", -1, 0, {0}},
    {"IPv6, bound to a host", AF_INET6, "::1", false, "::1", -1, 0, {0}},
    {"IPv6, bound to both", AF_INET6, "::1", true, "::1", -1, 0, {0}},
    {"IPv6, connected to IPv4", AF_INET6, NULL, false, "::ffff:127.0.0.1", -1, 0, {0}},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* A port that was free a moment ago. */
static in_port_t some_port(int family) {
    int fd = (int)NEED(socket(family, SOCK_DGRAM, 0));
    NEED(bind_to(fd, host(family, family == AF_INET ? "0.0.0.0" : "::", 0)));
    in_port_t port = name_of(fd).sin6_port;
    NEED(close(fd));
    return port;
}
static void make_ways(void) {
    for (int i = 0; i < WAYS; i++) {
        int family = ways[i].family;
        int fd = ways[i].fd = (int)NEED(socket(family, SOCK_DGRAM, 0));
        in_port_t port = ways[i].port ? some_port(family) : 0;
        if (ways[i].bound != NULL)
            NEED(bind_to(fd, host(family, ways[i].bound, port)));
        if (ways[i].peer != NULL)
            NEED(connect_to(fd, host(family, ways[i].peer, htons(9))));
        ways[i].name = name_of(fd);
        ways[i].only = family == AF_INET6 ? option(fd, IPPROTO_IPV6, IPV6_V6ONLY) : 0;
    }
}
/* Whoever freezes without being root is not told what was bound: then it must not be less. */
static void check_ways(bool told) {
    for (int i = 0; i < WAYS; i++) {
        const char *what = ways[i].what;
        int fd = ways[i].fd, family = ways[i].family;
        address before = ways[i].name, now = name_of(fd);
        CHECK(memcmp(&now, &before, sizeof now) == 0, "%s: another name", what);
        bool known = told || strcmp(what, "IPv6, connected alone") == 0 ||
                     strcmp(what, "IPv6, bound to a port") == 0;
        if (family == AF_INET6 && known)
            CHECK(option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == ways[i].only, "%s: IPV6_V6ONLY", what);
        if (!told)
            continue;
        NEED(connect_to(fd, (address){.sin6_family = AF_UNSPEC}));
        now = name_of(fd);
        const char *any = family == AF_INET ? "0.0.0.0" : "::";
        bool host_stays = ways[i].bound != NULL && strcmp(ways[i].bound, any) != 0;
        address left = host_stays ? before : host(family, any, 0);
        left.sin6_port = ways[i].port ? before.sin6_port : 0;
        CHECK(memcmp(&now, &left, size_of(family)) == 0, "%s: what is left of its name", what);
    }
}

/* Sockets that share an address by what is off by now, of both or of the first. */
static struct {
    const char *what;
    int type, option, off, listening;
    int fd[2];
} pairs[] = {
    {"datagrams, SO_REUSEADDR", SOCK_DGRAM, SO_REUSEADDR, 2, 0, {-1, -1}},
    {"datagrams, SO_REUSEPORT", SOCK_DGRAM, SO_REUSEPORT, 2, 0, {-1, -1}},
    {"one of them, SO_REUSEADDR", SOCK_DGRAM, SO_REUSEADDR, 1, 0, {-1, -1}},
    {"one of them, SO_REUSEPORT", SOCK_DGRAM, SO_REUSEPORT, 1, 0, {-1, -1}},
    {"streams, SO_REUSEADDR", SOCK_STREAM, SO_REUSEADDR, 2, 0, {-1, -1}},
    {"one listens, SO_REUSEADDR", SOCK_STREAM, SO_REUSEADDR, 2, 1, {-1, -1}},
    {"both listen, SO_REUSEPORT", SOCK_STREAM, SO_REUSEPORT, 2, 2, {-1, -1}},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

static void make_pairs(void) {
    for (int i = 0; i < PAIRS; i++) {
        address name = host(AF_INET, "127.0.0.1", 0);
        for (int j = 0; j < 2; j++) {
            int fd = pairs[i].fd[j] = (int)NEED(socket(AF_INET, pairs[i].type, 0));
            NEED(set(fd, SOL_SOCKET, pairs[i].option, 1));
            NEED(bind_to(fd, name));
            name = name_of(fd);
        }
        for (int j = 0; j < pairs[i].listening; j++)
            NEED(listen(pairs[i].fd[j], 1));
        for (int j = 0; j < pairs[i].off; j++)
            NEED(set(pairs[i].fd[j], SOL_SOCKET, pairs[i].option, 0));
    }
}
/* How many of the datagrams of many senders the first of a pair gets. The kernel distributes them
 * where the last that was bound still has SO_REUSEPORT; else that gets them all. */
static int count_of_first(int pair) {
    enum { SENDERS = 64 };
    address to = name_of(pairs[pair].fd[0]);
    int first = 0;
    for (int i = 0; i < SENDERS; i++) {
        char byte;
        int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
        NEED(connect_to(fd, to));
        NEED(send(fd, "x", 1, 0));
        NEED(close(fd));
        first += recv(pairs[pair].fd[0], &byte, 1, MSG_DONTWAIT) == 1;
    }
    return first;
}
static void check_pairs(bool told) {
    for (int i = 0; i < PAIRS; i++) {
        const char *what = pairs[i].what;
        address name = name_of(pairs[i].fd[0]), other = name_of(pairs[i].fd[1]);
        CHECK(memcmp(&name, &other, sizeof name) == 0, "%s: two addresses", what);
        for (int j = 0; j < 2; j++)
            CHECK(option(pairs[i].fd[j], SOL_SOCKET, pairs[i].option) == (j >= pairs[i].off),
                  "%s: option of number %d", what, j);
        int stranger = (int)NEED(socket(AF_INET, pairs[i].type, 0));
        CHECK(bind_to(stranger, name) == -1 && errno == EADDRINUSE, "%s: is not taken", what);
        close(stranger);
        if (pairs[i].type != SOCK_DGRAM || !told)
            continue;
        int first = count_of_first(i);
        bool distributes = pairs[i].option == SO_REUSEPORT && pairs[i].off == 1;
        CHECK((first > 0) == distributes, "%s: the first got %d", what, first);
    }
}

static int foreign, broadcast;
static address foreign_name, broadcast_peer;
static void make_others(void) {
    foreign = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    NEED(set(foreign, IPPROTO_IP, IP_FREEBIND, 1));
    NEED(bind_to(foreign, host(AF_INET, "203.0.113.77", 0)));
    NEED(set(foreign, IPPROTO_IP, IP_FREEBIND, 0));
    NEED(listen(foreign, 1));
    foreign_name = name_of(foreign);
    broadcast = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    broadcast_peer = host(AF_INET, "127.255.255.255", htons(9));
    NEED(set(broadcast, SOL_SOCKET, SO_BROADCAST, 1));
    NEED(connect_to(broadcast, broadcast_peer));
    NEED(set(broadcast, SOL_SOCKET, SO_BROADCAST, 0));
}
static void check_others(void) {
    address now = name_of(foreign);
    CHECK(memcmp(&now, &foreign_name, sizeof now) == 0, "foreign: another address");
    CHECK(option(foreign, IPPROTO_IP, IP_FREEBIND) == 0, "foreign: IP_FREEBIND");
    CHECK(option(foreign, SOL_SOCKET, SO_ACCEPTCONN) == 1, "foreign: listens no more");
    address peer = {0};
    NEED(getpeername(broadcast, (struct sockaddr *)&peer, &(socklen_t){sizeof peer}));
    CHECK(memcmp(&peer, &broadcast_peer, sizeof peer) == 0, "broadcast: another peer");
    CHECK(option(broadcast, SOL_SOCKET, SO_BROADCAST) == 0, "broadcast: SO_BROADCAST");
}

int main(int argc, char **argv) {
    (void)argv;
    bool told = argc == 1;
    make_ways();
    make_pairs();
    make_others();
    self_take();
    ready();
    await_go();
    self_compare(true);
    check_ways(told);
    check_pairs(told);
    check_others();
    finish();
}
