// The copy itself, free of JavaScript: workers that each read and write a batch at a time.
#ifndef PROC2ELF_TRANSFER_H
#define PROC2ELF_TRANSFER_H

#include "pages.h"

struct Run {
    uint64_t source;
    uint64_t size;
    uint64_t destination;
};

struct Transfer {
    // What to do.
    Source from;
    int to;
    std::vector<Run> runs;
    bool sparse;
    uint64_t position;  // of a stream: destination offset of the first byte to be written
    uint64_t *progress; // bytes looked at; read by another thread,
    uint64_t *stop;     // which sets this to have us stop

    // What came of it.
    int error = 0;
    const char *failed = nullptr; // "read" or "write"
    uint64_t written = 0;
    uint64_t zero = 0;
    Extents unreadable;
};

void Execute(Transfer &transfer);

#endif
