#include "channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int passed = -1; /* the descriptor that came with the last request */

static void take_note(struct msghdr *message) {
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return;
    if (passed >= 0)
        close(passed); /* nobody wanted it */
    memcpy(&passed, CMSG_DATA(header), sizeof passed);
}

static ssize_t receive_some(void *bytes, size_t size) {
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    ssize_t count = recvmsg(CHANNEL, &message, MSG_CMSG_CLOEXEC);
    if (count > 0)
        take_note(&message);
    return count;
}

int take_passed(void) {
    int fd = passed;
    passed = -1;
    return fd;
}

bool receive(void *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = receive_some(bytes, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        bytes = (char *)bytes + count;
        size -= count;
    }
    return true;
}

/* Takes `count` bytes off the front of the parts. */
static void skip(struct iovec **parts, int *n, size_t count) {
    while (*n > 0 && count >= (*parts)->iov_len) {
        count -= (*parts)->iov_len;
        (*parts)++;
        (*n)--;
    }
    if (*n > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + count;
        (*parts)->iov_len -= count;
    }
}

bool send_reply(struct header *header, struct iovec *parts, int n) {
    header->length = 0;
    for (int i = 1; i < n; i++)
        header->length += parts[i].iov_len;
    parts[0] = (struct iovec){header, sizeof *header};
    skip(&parts, &n, 0);
    while (n > 0) {
        ssize_t count = writev(CHANNEL, parts, n);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        skip(&parts, &n, count);
    }
    return true;
}
