/* Tells of every signal it handles, "signal code value", in the order of their delivery. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void handle(int signal, siginfo_t *info, void *context) {
    (void)context;
    char line[64];
    int size = snprintf(line, sizeof line, "%d %d %d\n", signal, info->si_code,
                        info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
    if (write(1, line, size) != size)
        _exit(1);
}

int main(void) {
    static const int signals[] = {SIGUSR1, SIGSEGV, 34};
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    if (write(1, "ready\n", 6) != 6)
        return 1;
    for (;;)
        pause();
}
