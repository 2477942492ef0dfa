/*
 * The ring in memory of a packet socket (TPACKET_V3): one block that was read and given back, one
 * that waits to be read, one that the kernel still fills. Packets must come in their order, each
 * once, however often the ring goes round. Needs root.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Packets of such a size that a block holds one, but for those of one byte. */
enum { BLOCKS = 4, BLOCK = 16384, LARGE = 10000, PRIVATE = 16 };
/* For experiments; `linux/if_ether.h`. */
enum { PROTOCOL = 0x88b5 };

static int receiver, sender;
static char *ring;
/* The block that is read next, and the number of the packet that is expected, and of the one that
 * is sent. */
static int position;
static unsigned expected, sent;

static void make(void) {
    struct tpacket_req3 request = {.tp_block_size = BLOCK,
                                   .tp_block_nr = BLOCKS,
                                   .tp_frame_size = 2048,
                                   .tp_frame_nr = BLOCKS * BLOCK / 2048,
                                   .tp_retire_blk_tov = 1000,
                                   .tp_sizeof_priv = PRIVATE};
    struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("lo")};
    sender = (int)NEED(socket(AF_PACKET, SOCK_RAW, 0));
    NEED(bind(sender, (struct sockaddr *)&lo, sizeof lo));
    receiver = (int)NEED(socket(AF_PACKET, SOCK_RAW, 0));
    NEED(setsockopt(receiver, SOL_PACKET, PACKET_VERSION, &(int){TPACKET_V3}, sizeof(int)));
    NEED(setsockopt(receiver, SOL_PACKET, PACKET_RESERVE, &(int){4}, sizeof(int)));
    NEED(setsockopt(receiver, SOL_PACKET, PACKET_RX_RING, &request, sizeof request));
    ring = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, receiver, 0);
    NEED(ring == MAP_FAILED ? -1 : 0);
    for (int i = 0; i < BLOCKS; i++)
        memset(ring + i * BLOCK + sizeof(struct tpacket_block_desc), 'a' + i, PRIVATE);
    lo.sll_protocol = htons(PROTOCOL);
    NEED(bind(receiver, (struct sockaddr *)&lo, sizeof lo));
}

static void say(size_t size) {
    static struct __attribute__((packed)) {
        struct ether_header header;
        unsigned number;
        char rest[LARGE];
    } frame;
    frame.header.ether_type = htons(PROTOCOL);
    frame.number = sent++;
    NEED(send(sender, &frame, sizeof frame.header + sizeof frame.number + size, 0));
}

static struct tpacket_block_desc *block(void) {
    return (struct tpacket_block_desc *)(ring + position * BLOCK);
}
static uint32_t status(void) {
    return __atomic_load_n(&block()->hdr.bh1.block_status, __ATOMIC_ACQUIRE);
}
static void wait_for_block(void) {
    struct pollfd waiting = {.fd = receiver, .events = POLLIN};
    while (!(status() & TP_STATUS_USER)) {
        if (poll(&waiting, 1, 20000) != 1) {
            fail("no packet %u comes into block %d", expected, position);
            finish();
        }
    }
}

/* Reads the next block, and gives it back. Returns the number of its packets. */
static unsigned take_block(void) {
    wait_for_block();
    struct tpacket_hdr_v1 *header = &block()->hdr.bh1;
    char *room = (char *)block() + sizeof(struct tpacket_block_desc);
    CHECK(room[0] == 'a' + position && memcmp(room, room + 1, PRIVATE - 1) == 0,
          "block %d: its own room holds something else", position);
    unsigned packets = header->num_pkts;
    struct tpacket3_hdr *packet =
        (struct tpacket3_hdr *)((char *)block() + header->offset_to_first_pkt);
    for (unsigned i = 1; i <= packets; i++) {
        unsigned number = 0;
        memcpy(&number, (char *)packet + packet->tp_mac + sizeof(struct ether_header),
               sizeof number);
        CHECK(number == expected, "packet %u instead of %u", number, expected);
        expected = number + 1;
        CHECK((i == packets) == (packet->tp_next_offset == 0),
              "block %d: packet %u of %u, the next after %u", position, i, packets,
              packet->tp_next_offset);
        if (i == packets)
            CHECK(header->ts_last_pkt.ts_sec == packet->tp_sec &&
                      header->ts_last_pkt.ts_nsec == packet->tp_nsec,
                  "block %d: another time than that of its last packet", position);
        packet = (struct tpacket3_hdr *)((char *)packet + packet->tp_next_offset);
    }
    __atomic_store_n(&header->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    position = (position + 1) % BLOCKS;
    return packets;
}

/* Reads blocks with so many packets. */
static void take(unsigned packets) {
    unsigned taken = 0;
    while (taken < packets)
        taken += take_block();
    CHECK(taken == packets, "%u packets instead of %u", taken, packets);
}

int main(void) {
    make();
    say(LARGE); /* fills a block, as does each further one of that size */
    say(LARGE);
    say(LARGE);
    say(1);
    say(1);
    take(1);
    ready();
    await_go();
    take(1);
    take(3);
    CHECK(!(status() & TP_STATUS_USER), "there is a block too many");
    say(LARGE);
    for (int i = 0; i < 3 * BLOCKS; i++) {
        say(LARGE);
        take(1);
    }
    /* As many as there is room for, before one is taken. */
    for (int i = 0; i < BLOCKS - 2; i++)
        say(LARGE);
    for (int i = 0; i < BLOCKS - 1; i++)
        take(1);
    CHECK(expected == sent, "%u packets of %u", expected, sent);
    struct tpacket_stats_v3 counts;
    NEED(getsockopt(receiver, SOL_PACKET, PACKET_STATISTICS, &counts, &(socklen_t){sizeof counts}));
    CHECK(counts.tp_drops == 0, "%u packets have had no room", counts.tp_drops);
    NEED(munmap(ring, BLOCKS * BLOCK));
    finish();
}
