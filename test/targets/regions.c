/*
 * Ten thousand regions (a program header table holds 1170), each with content of its own, beside
 * reservations of 16 TiB. The regions must come back one by one, neither merged nor split.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, REGIONS = 10000 };

int main(void) {
    size_t size = (size_t)REGIONS * PAGE, huge = 1ul << 44;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    NEED((intptr_t)memory);
    char *reserved =
        mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    NEED((intptr_t)reserved);
    for (int i = 0; i < REGIONS; i++) {
        /* Some stay untouched, some hold one word, some a whole page. */
        if (i % 3 == 1)
            memory[(size_t)i * PAGE] = (char)(i | 1);
        if (i % 3 == 2)
            fill(memory + (size_t)i * PAGE, PAGE, (uint64_t)i);
        if (i % 2 == 1)
            NEED(mprotect(memory + (size_t)i * PAGE, PAGE, PROT_READ));
    }
    self_take();
    ready();
    await_go();
    self_compare(true);
    for (int i = 0; i < REGIONS; i++) {
        char *page = memory + (size_t)i * PAGE;
        if (i % 3 == 2) {
            verify("region", page, PAGE, (uint64_t)i);
        } else {
            CHECK(*page == (i % 3 == 1 ? (char)(i | 1) : 0), "region %d begins with %d", i, *page);
            verify_zero("rest of a region", page + 1, PAGE - 1);
        }
    }
    CHECK(mprotect(reserved + huge / 2, PAGE, PROT_READ | PROT_WRITE) == 0, "reservation unusable");
    memset(reserved + huge / 2, 7, PAGE);
    finish();
}
