/*
 * warm BYTES: touches so much fresh memory, and gives it back.
 * A virtual machine gets memory from its host at the first touch only, which takes several times as
 * long as writing it: what runs next finds pages that were there before, whoever runs next.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv) {
    size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED ? 2 : 0;
}
