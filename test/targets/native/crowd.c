/* crowd IDLE BUSY: so many threads that sleep, and so many that compute and ask for the time. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void *idle(void *unused) {
    pause();
    return unused;
}

static void *busy(void *unused) {
    struct timespec now;
    for (;;)
        clock_gettime(CLOCK_MONOTONIC, &now);
    return unused;
}

int main(int argc, char **argv) {
    pthread_attr_t attributes;
    pthread_t thread;
    if (argc != 3)
        return 2;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (int i = 0; i < atoi(argv[1]) + atoi(argv[2]); i++)
        if (pthread_create(&thread, &attributes, i < atoi(argv[1]) ? idle : busy, NULL))
            return 1;
    puts("ready");
    fflush(stdout);
    pause();
}
