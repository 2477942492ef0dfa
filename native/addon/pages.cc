#include "pages.h"

#include <algorithm>
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

void AddExtent(Extents &extents, uint64_t offset, uint64_t size) {
    if (!extents.empty() && extents.back().first + extents.back().second == offset)
        extents.back().second += size;
    else
        extents.emplace_back(offset, size);
}

// Comparing a block with itself, shifted, is as fast as memcmp, and most pages that are not zero
// tell in their first word.
bool IsZero(const uint8_t *bytes, size_t size) {
    uint64_t head = 0;
    if (size < sizeof head)
        return std::all_of(bytes, bytes + size, [](uint8_t byte) { return byte == 0; });
    memcpy(&head, bytes, sizeof head);
    return head == 0 && memcmp(bytes, bytes + sizeof head, size - sizeof head) == 0;
}

// /proc/PID/mem reads as empty once the process has no memory any more.
static int EndOfSource(int fd) {
    struct statfs type;
    bool proc = fstatfs(fd, &type) == 0 && type.f_type == PROC_SUPER_MAGIC;
    return proc ? ESRCH : ENODATA;
}

int ReadPages(int fd, uint8_t *bytes, size_t size, uint64_t offset, Extents &unreadable) {
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(fd, bytes + done, size - done, offset + done);
        if (count > 0) {
            done += count;
        } else if (count == 0) {
            return EndOfSource(fd);
        } else if (errno == EIO || errno == EFAULT) {
            size_t hole = std::min<size_t>(PAGE - (offset + done) % PAGE, size - done);
            memset(bytes + done, 0, hole);
            AddExtent(unreadable, offset + done, hole);
            done += hole;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}
