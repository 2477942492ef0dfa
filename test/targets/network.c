/*
 * Sockets that few programs use: multicast, filters, raw and echo sockets, netlink, sockets that
 * were shut down. Needs root, and net.ipv4.ping_group_range to permit echo sockets.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* `linux/icmp.h`, which does not go with `net/if.h`. */
enum { ICMP_FILTER = 1 };

typedef struct sockaddr_in address;

static address at(const char *host, int port) {
    return (address){.sin_family = AF_INET,
                     .sin_port = htons((uint16_t)port),
                     .sin_addr.s_addr = inet_addr(host)};
}
static int port_of(int fd) {
    address name;
    NEED(getsockname(fd, (struct sockaddr *)&name, &(socklen_t){sizeof name}));
    return ntohs(name.sin_port);
}
static int udp(const char *host) {
    int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0));
    address name = at(host, 0);
    NEED(bind(fd, (struct sockaddr *)&name, sizeof name));
    return fd;
}
static void send_to(int fd, const void *bytes, size_t size, const char *host, int port) {
    address to = at(host, port);
    NEED(sendto(fd, bytes, size, 0, (struct sockaddr *)&to, sizeof to));
}
static bool comes(int fd, int patience) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, patience) == 1;
}
static void holds(const char *what, int fd, const char *text) {
    char buffer[64] = {0};
    CHECK(comes(fd, 10000), "%s: nothing comes", what);
    ssize_t got = recv(fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
    CHECK(got == (ssize_t)strlen(text) && strcmp(buffer, text) == 0, "%s: %zd bytes: %s", what, got,
          buffer);
}

/* `member` hears what 127.0.0.1 says to the group, `deaf` does not, `quiet` is in no group. */
static const char group[] = "239.1.2.3";
static int member, deaf, quiet;
static int listener(void) {
    int fd = udp("0.0.0.0");
    NEED(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &(int){0}, sizeof(int)));
    return fd;
}
static void make_groups(void) {
    struct group_source_req request = {.gsr_interface = if_nametoindex("lo")};
    *(address *)&request.gsr_group = at(group, 0);
    *(address *)&request.gsr_source = at("127.0.0.1", 0);
    struct group_req all = {.gr_interface = request.gsr_interface, .gr_group = request.gsr_group};
    member = listener();
    NEED(setsockopt(member, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &request, sizeof request));
    deaf = listener();
    NEED(setsockopt(deaf, IPPROTO_IP, MCAST_JOIN_GROUP, &all, sizeof all));
    NEED(setsockopt(deaf, IPPROTO_IP, MCAST_BLOCK_SOURCE, &request, sizeof request));
    quiet = listener();
}
static void check_groups(void) {
    int from = udp("127.0.0.1");
    struct in_addr lo = {htonl(INADDR_LOOPBACK)};
    NEED(setsockopt(from, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
    /* What was sent to the others first would be there before this is. */
    send_to(from, "deaf", 4, group, port_of(deaf));
    send_to(from, "quiet", 5, group, port_of(quiet));
    send_to(from, "member", 6, group, port_of(member));
    holds("member of a group", member, "member");
    CHECK(!comes(deaf, 0), "a source that was blocked is heard");
    CHECK(!comes(quiet, 0), "a socket in no group hears it");
    send_to(from, "direct", 6, "127.0.0.1", port_of(deaf));
    holds("socket with a blocked source", deaf, "direct");
}

/* Lets datagrams of 5 bytes pass, behind a header of 8. */
static int filtered;
static void make_filter(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 8 + 5, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    filtered = udp("127.0.0.1");
    NEED(setsockopt(filtered, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    NEED(setsockopt(filtered, SOL_SOCKET, SO_LOCK_FILTER, &(int){1}, sizeof(int)));
}
static void check_filter(void) {
    int from = udp("127.0.0.1");
    send_to(from, "four", 4, "127.0.0.1", port_of(filtered));
    send_to(from, "fives", 5, "127.0.0.1", port_of(filtered));
    holds("socket with a filter", filtered, "fives");
    CHECK(setsockopt(filtered, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)) == -1 &&
              errno == EPERM,
          "the filter is not locked");
}

enum { IDENTIFIER = 4711 };
static int raw, echo, shut;
static void make_others(void) {
    raw = (int)NEED(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    uint32_t only = ~(1u << ICMP_ECHOREPLY); /* struct icmp_filter: a bit keeps a type out */
    NEED(setsockopt(raw, SOL_RAW, ICMP_FILTER, &only, sizeof only));
    echo = (int)NEED(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    address name = at("127.0.0.1", IDENTIFIER);
    NEED(bind(echo, (struct sockaddr *)&name, sizeof name));
    shut = udp("127.0.0.1");
    name = at("127.0.0.1", port_of(shut));
    NEED(connect(shut, (struct sockaddr *)&name, sizeof name));
    NEED(shutdown(shut, SHUT_WR));
}
static void check_others(void) {
    struct icmphdr question = {.type = ICMP_ECHO, .un.echo.sequence = htons(7)}, answer = {0};
    send_to(echo, &question, sizeof question, "127.0.0.1", 0);
    CHECK(comes(echo, 10000) && recv(echo, &answer, sizeof answer, 0) == sizeof answer,
          "no answer to an echo request");
    CHECK(answer.type == ICMP_ECHOREPLY && ntohs(answer.un.echo.id) == IDENTIFIER &&
              answer.un.echo.sequence == question.un.echo.sequence,
          "echo: type %d, identifier %d", answer.type, ntohs(answer.un.echo.id));
    char packet[256];
    CHECK(comes(raw, 10000), "the raw socket sees nothing");
    ssize_t got = recv(raw, packet, sizeof packet, 0);
    struct icmphdr *seen = (struct icmphdr *)(packet + sizeof(struct iphdr));
    CHECK(got == sizeof(struct iphdr) + sizeof *seen && seen->type == ICMP_ECHOREPLY,
          "the raw socket's filter lets type %d through", seen->type);
    CHECK(send(shut, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "what was shut down sends");
}

static int route;
static struct sockaddr_nl own;
static void make_route(void) {
    route = (int)NEED(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    NEED(bind(route, (struct sockaddr *)&name, sizeof name));
    NEED(getsockname(route, (struct sockaddr *)&own, &(socklen_t){sizeof own}));
}
static void check_route(void) {
    struct sockaddr_nl name;
    NEED(getsockname(route, (struct sockaddr *)&name, &(socklen_t){sizeof name}));
    CHECK(memcmp(&name, &own, sizeof own) == 0, "netlink: port %u, groups %x", name.nl_pid,
          name.nl_groups);
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {{.nlmsg_len = sizeof request,
                  .nlmsg_type = RTM_GETLINK,
                  .nlmsg_flags = NLM_F_REQUEST,
                  .nlmsg_seq = 9},
                 {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex("lo")}};
    NEED(send(route, &request, sizeof request, 0));
    char buffer[8192];
    struct nlmsghdr *answer = (struct nlmsghdr *)buffer;
    CHECK(comes(route, 10000) && recv(route, buffer, sizeof buffer, 0) > 0, "netlink: no answer");
    CHECK(answer->nlmsg_type == RTM_NEWLINK && answer->nlmsg_seq == 9 &&
              answer->nlmsg_pid == own.nl_pid,
          "netlink: answer of type %d for port %u", answer->nlmsg_type, answer->nlmsg_pid);
}

int main(void) {
    make_groups();
    make_filter();
    make_others();
    make_route();
    ready();
    await_go();
    check_groups();
    check_filter();
    check_others();
    check_route();
    finish();
}
