// Reading memory page by page where it must be, and telling pages of zeros.
#ifndef PROC2ELF_PAGES_H
#define PROC2ELF_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <utility>
#include <vector>

static const size_t PAGE = 4096;

// Runs of [offset, size]; adjacent ones are joined as they are added.
typedef std::vector<std::pair<uint64_t, uint64_t>> Extents;
void AddExtent(Extents &extents, uint64_t offset, uint64_t size);

bool IsZero(const uint8_t *bytes, size_t size);

// What is read from: a file, or /proc/PID/mem of a process that is held still.
struct Source {
    int fd;
    // That process and a pidfd of it; 0 and -1 if unknown. The same bytes then come by
    // process_vm_readv(2), which copies them once, and many pages at a time, where the file copies
    // them twice, one by one.
    int pid;
    int pidfd;
};

// Fills `bytes` from `offset` of the source. Pages that cannot be read become zeros and are added
// to `unreadable`. Returns 0 or an errno: ESRCH where the process behind /proc/PID/mem is gone,
// ENODATA where a file ends early.
int ReadPages(const Source &from, uint8_t *bytes, size_t size, uint64_t offset,
              Extents &unreadable);

#endif
