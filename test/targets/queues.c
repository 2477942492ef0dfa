/*
 * Datagrams that wait in UDP sockets: all of them, empty ones among them, come back in order with
 * their senders, in sockets that are connected, shut down, watched by epoll, or no longer listen to
 * those who had sent them.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE = 60000, MANY = 100 };

typedef struct sockaddr_in address;

static address name_of(int fd) {
    address name;
    NEED(getsockname(fd, (struct sockaddr *)&name, &(socklen_t){sizeof name}));
    return name;
}
static int udp(void) {
    address name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    NEED(bind(fd, (struct sockaddr *)&name, sizeof name));
    return fd;
}
static void send_to(int from, int to, const void *bytes, size_t size) {
    address name = name_of(to);
    NEED(sendto(from, bytes, size, 0, (struct sockaddr *)&name, sizeof name));
}
static char buffer[LARGE + 1];
static void comes(const char *what, int fd, address from, size_t size) {
    address name = {0};
    ssize_t got =
        recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&name, &(socklen_t){sizeof name});
    CHECK(got == (ssize_t)size, "%s: %zd bytes instead of %zu (%s)", what, got, size,
          got < 0 ? strerror(errno) : "");
    CHECK(got < 0 || memcmp(&name, &from, sizeof name) == 0, "%s: from port %d instead of %d", what,
          ntohs(name.sin_port), ntohs(from.sin_port));
}
static void is_empty(const char *what, int fd) {
    CHECK(recv(fd, buffer, sizeof buffer, 0) == -1 && errno == EAGAIN, "%s: more waits in it",
          what);
}

static int server, client, many, set;
static address server_name, client_name, former;

static void make(void) {
    server = udp(), client = udp(), many = udp();
    server_name = name_of(server), client_name = name_of(client);
    int sender = udp();
    former = name_of(sender);
    fill(buffer, LARGE, 7);
    send_to(client, server, "question", 8);
    send_to(sender, server, "", 0);
    send_to(sender, server, buffer, LARGE);
    send_to(client, server, "", 0);
    /* Who is connected keeps what came from others before. */
    send_to(sender, client, "stray", 5);
    NEED(connect(client, (struct sockaddr *)&server_name, sizeof server_name));
    send_to(server, client, "answer", 6);
    NEED(shutdown(client, SHUT_WR));
    for (int i = 0; i < MANY; i++)
        send_to(i % 3 ? sender : server, many, buffer, (size_t)i);
    close(sender);
    set = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = server};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, server, &event));
}

static void check(void) {
    struct epoll_event event = {0};
    CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.fd == server, "epoll tells nothing");
    comes("server", server, client_name, 8);
    CHECK(memcmp(buffer, "question", 8) == 0, "server: the question is another");
    comes("server", server, former, 0);
    comes("server", server, former, LARGE);
    verify("large datagram", buffer, LARGE, 7);
    comes("server", server, client_name, 0);
    is_empty("server", server);
    comes("client", client, former, 5);
    comes("client", client, server_name, 6);
    CHECK(memcmp(buffer, "answer", 6) == 0, "client: the answer is another");
    is_empty("client", client);
    for (int i = 0; i < MANY; i++)
        comes("many", many, i % 3 ? former : server_name, (size_t)i);
    is_empty("many", many);
    /* All goes on as before. */
    send_to(many, server, "again", 5);
    comes("server", server, name_of(many), 5);
    int offset = 0;
    NEED(getsockopt(server, SOL_SOCKET, SO_PEEK_OFF, &offset, &(socklen_t){sizeof offset}));
    CHECK(offset == -1, "server peeks at offset %d", offset);
}

int main(void) {
    make();
    ready();
    await_go();
    check();
    finish();
}
