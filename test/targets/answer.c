/*
 * Answers each line on its standard input with the next number, after checking its memory, which
 * it then fills anew. `go` ends it. For programs frozen again and again.
 */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 300000 };
static unsigned char data[SIZE];

int main(void) {
    unsigned char *heap = malloc(SIZE);
    char line[64];
    for (uint64_t number = 1;; number++) {
        fill(data, SIZE, number);
        fill(heap, SIZE, number + 1000);
        if (number == 1)
            ready();
        else
            NEED(write(1, line, (size_t)snprintf(line, sizeof line, "%lu\n", number - 1)));
        size_t length = 0;
        do {
            ssize_t got = read(0, line + length, 1);
            if (got == 0)
                _exit(3);
            CHECK(got == 1, "read of standard input fails");
            length += got == 1;
        } while (length == 0 || (line[length - 1] != '\n' && length < sizeof line - 1));
        verify("data", data, SIZE, number);
        verify("heap", heap, SIZE, number + 1000);
        if (strncmp(line, "go\n", 3) == 0)
            finish();
    }
}
