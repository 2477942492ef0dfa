/* read FILE: all its bytes from the page cache into fresh anonymous memory, then "gap 0 END". */
#define _GNU_SOURCE
#include "clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct stat status;
    int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    if (file < 0 || fstat(file, &status) != 0)
        return 2;
    size_t size = (size_t)status.st_size;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 2;
    for (size_t done = 0; done < size;) {
        ssize_t count = read(file, memory + done, size - done);
        if (count <= 0)
            return 2;
        done += (size_t)count;
    }
    printf("gap 0 %lu\n", now());
    return 0;
}
