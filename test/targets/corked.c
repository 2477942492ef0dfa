/*
 * Datagrams that are being put together: with UDP_CORK, with MSG_MORE, connected and not. Nothing
 * of them leaves before the last piece, and then all of it does at once, from the same port.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE = 50000 };

typedef struct sockaddr_in address;

static address name_of(int fd) {
    address name;
    NEED(getsockname(fd, (struct sockaddr *)&name, &(socklen_t){sizeof name}));
    return name;
}
static void cork(int fd, int on) {
    NEED(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof on));
}

static int server, corked, more, connected, begun;
static address server_name;
static char text[LARGE], buffer[2 * LARGE];

static void say(int fd, const void *bytes, size_t size, int flags) {
    NEED(sendto(fd, bytes, size, flags, (struct sockaddr *)&server_name, sizeof server_name));
}
static void is_quiet(const char *when) {
    CHECK(recv(server, buffer, sizeof buffer, 0) == -1 && errno == EAGAIN, "%s: something was sent",
          when);
}
/* Takes a datagram: what is given, then large pieces. */
static void comes(int from, const char *begin, int pieces) {
    address name = {0}, sender = name_of(from);
    size_t head = strlen(begin);
    ssize_t got = recvfrom(server, buffer, sizeof buffer, 0, (struct sockaddr *)&name,
                           &(socklen_t){sizeof name});
    CHECK(got == (ssize_t)(head + (size_t)pieces * LARGE), "%s: %zd bytes (%s)", begin, got,
          got < 0 ? strerror(errno) : "");
    CHECK(memcmp(buffer, begin, head) == 0, "%s: it begins otherwise: %.20s", begin, buffer);
    if (pieces)
        verify(begin, buffer + head, LARGE, 7);
    CHECK(name.sin_port == sender.sin_port && name.sin_addr.s_addr == htonl(INADDR_LOOPBACK),
          "%s: from port %d instead of %d", begin, ntohs(name.sin_port), ntohs(sender.sin_port));
}

static void make(void) {
    server_name = (address){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server = (int)NEED(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    NEED(bind(server, (struct sockaddr *)&server_name, sizeof server_name));
    server_name = name_of(server);
    corked = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    more = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    connected = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    begun = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    fill(text, LARGE, 7);
    cork(corked, 1);
    say(corked, "cor", 3, 0);
    say(corked, "ked", 3, 0);
    say(corked, text, LARGE, 0);
    say(more, "mo", 2, MSG_MORE);
    NEED(connect(connected, (struct sockaddr *)&server_name, sizeof server_name));
    NEED(send(connected, "connected", 9, MSG_MORE));
    NEED(send(connected, text, LARGE, MSG_MORE));
    say(begun, "", 0, MSG_MORE);
    is_quiet("while they are put together");
}

static void check(void) {
    is_quiet("before the last piece");
    cork(corked, 0);
    comes(corked, "corked", 1);
    say(more, "re", 2, 0);
    comes(more, "more", 0);
    NEED(send(connected, "", 0, 0));
    comes(connected, "connected", 1);
    NEED(send(begun, "ends", 4, MSG_MORE));
    is_quiet("with another piece");
    cork(begun, 0);
    comes(begun, "ends", 0);
    /* And the next one. */
    say(corked, "again", 5, 0);
    comes(corked, "again", 0);
    is_quiet("at last");
}

int main(void) {
    make();
    ready();
    await_go();
    check();
    finish();
}
