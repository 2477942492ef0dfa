#include "pages.h"

#include <algorithm>
#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
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

// How much of it can be read by process_vm_readv(2): up to the first page that the process itself
// may not read, which only the file gives; nothing where a security module or seccomp forbids the
// call.
static size_t ReadProcess(const Source &from, uint8_t *bytes, size_t size, uint64_t address) {
    if (from.pidfd < 0)
        return 0;
    struct iovec local = {bytes, size};
    struct iovec remote = {reinterpret_cast<void *>(address), size};
    ssize_t count = process_vm_readv(from.pid, &local, 1, &remote, 1, 0);
    // A pid may name another process by now; not, though, if its pidfd has not told of an end
    // since.
    struct pollfd ended = {from.pidfd, POLLIN, 0};
    return count > 0 && poll(&ended, 1, 0) == 0 ? count : 0;
}

int ReadPages(const Source &from, uint8_t *bytes, size_t size, uint64_t offset,
              Extents &unreadable) {
    size_t done = ReadProcess(from, bytes, size, offset);
    while (done < size) {
        ssize_t count = pread(from.fd, bytes + done, size - done, offset + done);
        if (count > 0) {
            done += count;
        } else if (count == 0) {
            return EndOfSource(from.fd);
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
