#include "channel.h"

#include <errno.h>
#include <unistd.h>

bool receive(void *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = read(CHANNEL, bytes, size);
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
