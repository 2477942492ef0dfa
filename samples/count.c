/*
 * Counts to 100, a number each 200 ms.
 *   cc -O2 -o count samples/count.c && ./count
 *   proc2elf $(pidof count) -o count.bin --kill && ./count.bin
 */
#include <stdio.h>
#include <time.h>

int main(void) {
    struct timespec pause = {.tv_nsec = 200000000};
    for (int number = 1; number <= 100; number++) {
        printf("%d\n", number);
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
    return 0;
}
