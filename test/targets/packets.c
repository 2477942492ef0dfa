/*
 * Packet sockets on the loopback interface: what they see of frames that are sent there by another,
 * with protocol, filter, options, memberships and fanout group. Needs root.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Protocols for experiments, which nobody else uses; `linux/if_ether.h`. */
enum { ONE = 0x88b5, OTHER = 0x88b6, THIRD = 0x88b7 };
enum { GROUP = 4711 };

static int packet(int type, int protocol, const char *device) {
    int fd = (int)NEED(socket(AF_PACKET, type, htons((uint16_t)protocol)));
    struct sockaddr_ll name = {.sll_family = AF_PACKET,
                               .sll_protocol = htons((uint16_t)protocol),
                               .sll_ifindex = device ? (int)if_nametoindex(device) : 0};
    if (device)
        NEED(bind(fd, (struct sockaddr *)&name, sizeof name));
    return fd;
}
static void set(int fd, int option, int value) {
    NEED(setsockopt(fd, SOL_PACKET, option, &value, sizeof value));
}

/* A frame of Ethernet with a text. */
static void say(int from, int protocol, const char *text) {
    struct {
        struct ether_header header;
        char text[64];
    } frame = {.header.ether_type = htons((uint16_t)protocol)};
    strcpy(frame.text, text);
    NEED(send(from, &frame, sizeof frame.header + strlen(text), 0));
}
static bool comes(int fd, int patience) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, patience) == 1;
}
/* Takes the next packet, of which the text stands behind `skip` bytes. */
static struct sockaddr_ll holds(const char *what, int fd, size_t skip, const char *text) {
    char buffer[128] = {0};
    struct sockaddr_ll from = {0};
    CHECK(comes(fd, 10000), "%s: nothing comes", what);
    ssize_t got = recvfrom(fd, buffer, sizeof buffer - 1, MSG_DONTWAIT, (struct sockaddr *)&from,
                           &(socklen_t){sizeof from});
    CHECK(got == (ssize_t)(skip + strlen(text)) && strcmp(buffer + skip, text) == 0,
          "%s: %zd bytes: %s", what, got, buffer + skip);
    return from;
}

static int sender, whole, cooked, incoming, members[2];

static void make(void) {
    sender = packet(SOCK_RAW, 0, "lo");
    /* Lets packets pass whose text begins with `p`. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, sizeof(struct ether_header)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'p', 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    whole = packet(SOCK_RAW, 0, NULL);
    NEED(setsockopt(whole, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    set(whole, PACKET_AUXDATA, 1);
    struct packet_mreq ask = {.mr_ifindex = (int)if_nametoindex("lo"),
                              .mr_type = PACKET_MR_PROMISC};
    NEED(setsockopt(whole, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &ask, sizeof ask));
    NEED(setsockopt(whole, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &ask, sizeof ask));
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ONE)};
    NEED(bind(whole, (struct sockaddr *)&all, sizeof all));
    cooked = packet(SOCK_DGRAM | SOCK_NONBLOCK, OTHER, "lo");
    /* The frames are seen as they leave, too, by whoever asks for all protocols. */
    incoming = packet(SOCK_RAW, ETH_P_ALL, "lo");
    set(incoming, PACKET_IGNORE_OUTGOING, 1);
    for (int i = 0; i < 2; i++) {
        members[i] = packet(SOCK_RAW, THIRD, "lo");
        set(members[i], PACKET_FANOUT, GROUP | PACKET_FANOUT_LB << 16);
    }
}

/* Whether the interface sees packets for others, too. */
static bool is_promiscuous(void) {
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
        {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex("lo")}};
    _Alignas(struct nlmsghdr) char answer[8192];
    int route = (int)NEED(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    NEED(send(route, &request, sizeof request, 0));
    int left =
        (int)NEED(recv(route, answer, sizeof answer, 0)) - (int)NLMSG_LENGTH(sizeof request.link);
    NEED(close(route));
    struct rtattr *found = (struct rtattr *)(answer + NLMSG_LENGTH(sizeof request.link));
    for (; RTA_OK(found, left); found = RTA_NEXT(found, left))
        if (found->rta_type == IFLA_PROMISCUITY)
            return *(uint32_t *)RTA_DATA(found) > 0;
    CHECK(false, "nothing tells whether lo is promiscuous");
    return false;
}
static int option(int fd, int name) {
    int value = 0;
    NEED(getsockopt(fd, SOL_PACKET, name, &value, &(socklen_t){sizeof value}));
    return value;
}

static void check_packets(void) {
    say(sender, ONE, "kept out");
    say(sender, ONE, "passes");
    say(sender, OTHER, "for another");
    holds("socket with a filter", whole, sizeof(struct ether_header), "passes");
    CHECK(!comes(whole, 0), "what is for another protocol is seen");
    CHECK(option(whole, PACKET_AUXDATA) == 1, "PACKET_AUXDATA is gone");
    struct sockaddr_ll from = holds("socket for datagrams", cooked, 0, "for another");
    CHECK(from.sll_ifindex == (int)if_nametoindex("lo"), "it comes from interface %d",
          from.sll_ifindex);
    CHECK(recv(cooked, &from, sizeof from, 0) == -1, "a second packet");
    CHECK(fcntl(cooked, F_GETFL) & O_NONBLOCK, "O_NONBLOCK is gone");
    static const char *const texts[] = {"kept out", "passes", "for another"};
    for (int i = 0; i < 3; i++) {
        from = holds("socket for all", incoming, sizeof(struct ether_header), texts[i]);
        CHECK(from.sll_pkttype != PACKET_OUTGOING, "outgoing packets are seen");
    }
}
static void check_fanout(void) {
    say(sender, THIRD, "x");
    say(sender, THIRD, "x");
    for (int i = 0; i < 2; i++) {
        holds("member of a fanout group", members[i], sizeof(struct ether_header), "x");
        CHECK(!comes(members[i], 0), "a member has got both packets");
        CHECK(option(members[i], PACKET_FANOUT) == (GROUP | PACKET_FANOUT_LB << 16),
              "another fanout group: %x", option(members[i], PACKET_FANOUT));
    }
}
static void check_membership(void) {
    struct packet_mreq ask = {.mr_ifindex = (int)if_nametoindex("lo"),
                              .mr_type = PACKET_MR_PROMISC};
    for (int left = 2; left > 0; left--) {
        CHECK(is_promiscuous(), "lo is not promiscuous, with %d memberships left", left);
        NEED(setsockopt(whole, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &ask, sizeof ask));
    }
    CHECK(!is_promiscuous(), "lo stays promiscuous");
}

int main(void) {
    make();
    ready();
    await_go();
    check_packets();
    check_fanout();
    check_membership();
    finish();
}
