/*
 * Runs a program with descriptors 0, 1 and 2 alone: what the test runner was itself started with,
 * such as a build server's log, is not part of what is frozen.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2 || close_range(3, ~0u, 0) != 0) {
        perror("alone");
        return 2;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
