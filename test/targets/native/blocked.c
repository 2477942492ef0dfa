/*
 * Blocks in one system call per thread, all at once, and tells how each of them ended:
 * blocked MILLISECONDS. Those with a timeout have that one; the others are ended after it.
 * Prints "ready", then "name result errno elapsed-ms" for each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long timeout_ms;
static struct timespec timeout;
static int pipe_ends[2], epoll, listener, timed_socket[2], event, notify, semaphores, queue;
static int timed_word, word;
static pid_t child;

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void on_signal(int signal) {
    (void)signal;
}

static long do_nanosleep(void) {
    return nanosleep(&timeout, NULL);
}
static long do_clock_nanosleep(void) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}
static long do_poll(void) {
    return poll(NULL, 0, timeout_ms);
}
static long do_select(void) {
    struct timeval t = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    return select(0, NULL, NULL, NULL, &t);
}
static long do_ppoll(void) {
    struct timespec t = timeout;
    sigset_t mask;
    sigemptyset(&mask);
    return ppoll(NULL, 0, &t, &mask);
}
static long do_epoll_wait(void) {
    struct epoll_event e;
    return epoll_wait(epoll, &e, 1, timeout_ms);
}
static long do_epoll_pwait(void) {
    struct epoll_event e;
    sigset_t mask;
    sigemptyset(&mask);
    return epoll_pwait(epoll, &e, 1, timeout_ms, &mask);
}
static long do_futex_timed(void) {
    return syscall(SYS_futex, &timed_word, FUTEX_WAIT, 0, &timeout, NULL, 0);
}
static long do_futex(void) {
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}
static long do_semtimedop(void) {
    struct sembuf wait = {0, -1, 0};
    return semtimedop(semaphores, &wait, 1, &timeout);
}
static long do_semop(void) {
    struct sembuf wait = {1, -1, 0};
    return semop(semaphores, &wait, 1);
}
static long do_msgrcv(void) {
    struct {
        long type;
        char text[8];
    } message;
    return msgrcv(queue, &message, sizeof message.text, 0, 0);
}
static long do_sigtimedwait(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return sigtimedwait(&set, NULL, &timeout);
}
static long do_recv_timed(void) {
    char byte;
    return recv(timed_socket[0], &byte, 1, 0);
}
static long do_pause(void) {
    return pause();
}
static long do_sigsuspend(void) {
    sigset_t mask;
    sigemptyset(&mask);
    return sigsuspend(&mask);
}
static long do_read(void) {
    char byte;
    return read(pipe_ends[0], &byte, 1);
}
static long do_read_event(void) {
    uint64_t count;
    return read(event, &count, sizeof count);
}
static long do_read_inotify(void) {
    char events[512];
    return read(notify, events, sizeof events) > 0;
}
static long do_wait4(void) {
    int status;
    return wait4(child, &status, 0, NULL) == child;
}
static long do_accept(void) {
    return accept(listener, NULL, NULL) >= 0;
}

/* Blocked in all threads, and in the one of sigsuspend outside the call. */
static struct test {
    const char *name;
    long (*run)(void);
    long result;
    int error;
    int64_t elapsed;
    pthread_t thread;
} tests[] = {
    {.name = "nanosleep", .run = do_nanosleep},
    {.name = "clock_nanosleep", .run = do_clock_nanosleep},
    {.name = "poll", .run = do_poll},
    {.name = "select", .run = do_select},
    {.name = "ppoll", .run = do_ppoll},
    {.name = "epoll_wait", .run = do_epoll_wait},
    {.name = "epoll_pwait", .run = do_epoll_pwait},
    {.name = "futex_timed", .run = do_futex_timed},
    {.name = "futex", .run = do_futex},
    {.name = "semtimedop", .run = do_semtimedop},
    {.name = "semop", .run = do_semop},
    {.name = "msgrcv", .run = do_msgrcv},
    {.name = "sigtimedwait", .run = do_sigtimedwait},
    {.name = "recv_timed", .run = do_recv_timed},
    {.name = "pause", .run = do_pause},
    {.name = "sigsuspend", .run = do_sigsuspend},
    {.name = "read", .run = do_read},
    {.name = "read_eventfd", .run = do_read_event},
    {.name = "read_inotify", .run = do_read_inotify},
    {.name = "wait4", .run = do_wait4},
    {.name = "accept", .run = do_accept},
};
enum { COUNT = sizeof tests / sizeof *tests };

static void *run(void *argument) {
    struct test *test = argument;
    sigset_t mask;
    sigfillset(&mask);
    if (test->run == do_pause)
        sigdelset(&mask, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    int64_t start = now_ms();
    errno = 0;
    test->result = test->run();
    test->error = errno;
    test->elapsed = now_ms() - start;
    return NULL;
}

static void set_up(char *path) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval t = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    timeout = (struct timespec){timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    if (pipe(pipe_ends))
        exit(1);
    epoll = epoll_create1(0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 1);
    socketpair(AF_UNIX, SOCK_STREAM, 0, timed_socket);
    setsockopt(timed_socket[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    event = eventfd(0, 0);
    notify = inotify_init();
    inotify_add_watch(notify, path, IN_CREATE);
    semaphores = semget(IPC_PRIVATE, 2, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    signal(SIGUSR1, on_signal);
}

static void end_untimed(const char *path) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    uint64_t one = 1;
    struct sembuf up = {1, 1, 0};
    struct {
        long type;
        char text[8];
    } message = {1, "x"};
    word = 1;
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
    semop(semaphores, &up, 1);
    msgsnd(queue, &message, 1, 0);
    if (write(pipe_ends[1], "x", 1) < 0 || write(event, &one, sizeof one) < 0)
        exit(1);
    char file[256];
    snprintf(file, sizeof file, "%s/created", path);
    FILE *created = fopen(file, "w");
    if (created)
        fclose(created);
    unlink(file);
    kill(child, SIGKILL);
    getsockname(listener, (struct sockaddr *)&address, &size);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, size))
        exit(1);
    for (int i = 0; i < COUNT; i++)
        if (tests[i].run == do_pause || tests[i].run == do_sigsuspend)
            pthread_kill(tests[i].thread, SIGUSR1);
}

int main(int argc, char **argv) {
    char path[] = "/tmp/proc2elf-blocked.XXXXXX";
    if (argc != 2 || !mkdtemp(path))
        return 2;
    timeout_ms = atol(argv[1]);
    set_up(path);
    for (int i = 0; i < COUNT; i++)
        pthread_create(&tests[i].thread, NULL, run, &tests[i]);
    usleep(100000);
    puts("ready");
    fflush(stdout);
    struct timespec left = timeout;
    while (nanosleep(&left, &left))
        puts("main interrupted");
    end_untimed(path);
    for (int i = 0; i < COUNT; i++) {
        pthread_join(tests[i].thread, NULL);
        printf("%s %ld %d %lld\n", tests[i].name, tests[i].result, tests[i].error,
               (long long)tests[i].elapsed);
    }
    semctl(semaphores, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
    rmdir(path);
    return 0;
}
