/*
 * Executes itself over and over, from a thread that is not the leader, while others run. They keep
 * the processors busy: an execve(2) in progress is then met by who attaches.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static char **arguments;

static void *spin(void *unused) {
    for (volatile unsigned long turns = 0;;)
        turns++;
    return unused;
}

static void *execute(void *unused) {
    usleep(300);
    execv("/proc/self/exe", arguments);
    return unused;
}

int main(int argc, char **argv) {
    pthread_t thread;
    if (argc == 1) {
        puts("ready");
        fflush(stdout);
    }
    arguments = (char *[]){argv[0], "again", NULL};
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, spin, NULL);
    pthread_create(&thread, NULL, execute, NULL);
    pause();
}
