/* Files of /proc and /sys, each at an offset; those of the process itself under whatever id it has.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OFFSET = 10 };
/* Of the page of vsyscalls: as an offset it is negative. */
static const off_t HIGH = -10485760;

static int open_at(const char *path, int flags, off_t offset) {
    int fd = (int)NEED(open(path, flags));
    CHECK(lseek(fd, offset, SEEK_SET) == offset, "cannot seek in %s", path);
    return fd;
}

static void stands_at(const char *what, int fd, off_t wanted) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    CHECK(offset == wanted, "%s: offset is %ld, not %ld", what, (long)offset, (long)wanted);
}

/* The descriptor leads to what the path leads to now. */
static void is(const char *path, int fd) {
    struct stat here, there;
    CHECK(fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
              here.st_dev == there.st_dev,
          "%s is another file", path);
}

static const char *const namespaces[] = {"/proc/self/ns/net",  "/proc/self/ns/mnt",
                                         "/proc/self/ns/pid",  "/proc/self/ns/user",
                                         "/proc/self/ns/time", "/proc/self/ns/cgroup"};
enum { SPACES = sizeof namespaces / sizeof *namespaces };

/* A control group's file, wherever this machine has them. */
static int open_group(void) {
    int fd = open("/sys/fs/cgroup/cgroup.procs", O_RDONLY);
    if (fd < 0)
        fd = open("/sys/fs/cgroup/unified/cgroup.procs", O_RDONLY);
    if (fd >= 0)
        NEED(lseek(fd, OFFSET, SEEK_SET));
    return fd;
}

static _Atomic pid_t id; /* of the other thread */

static void *rest(void *unused) {
    (void)unused;
    id = gettid();
    for (;;)
        pause();
    return NULL;
}

/* "FOLDER/ID/NAME" of the other thread, by the id that it has now. */
static const char *below(const char *folder, const char *name) {
    static char path[64];
    char line[64] = {0};
    /* The kernel's list: the C library need not know of another id. */
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks, "cannot list threads");
    for (struct dirent *entry; (entry = readdir(tasks));)
        if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid())
            snprintf(line, sizeof line, "%.20s", entry->d_name);
    closedir(tasks);
    snprintf(path, sizeof path, "%.20s/%.20s%s%.20s", folder, line, *name ? "/" : "", name);
    return path;
}

static const char *of_thread(const char *name) {
    return below("/proc/self/task", name);
}

/* "/proc/ID/NAME": what the thread has by its own id, which no list of /proc shows. */
static const char *apart(const char *name) {
    return below("/proc", name);
}

/* It was opened by just that path. */
static void has_path(const char *path, int fd) {
    char link[32], found[64] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    NEED(readlink(link, found, sizeof found - 1));
    CHECK(strcmp(found, path) == 0, "%s is opened as %s", path, found);
}

int main(void) {
    pthread_t other;
    CHECK(pthread_create(&other, NULL, rest, NULL) == 0, "no thread");
    while (id == 0)
        sched_yield();
    int thread = open_at(of_thread("status"), O_RDONLY, OFFSET);
    int again = (int)NEED(fcntl(thread, F_DUPFD_CLOEXEC, 50));
    int thread_folder = open_at(of_thread(""), O_RDONLY | O_DIRECTORY, 0);
    int apart_status = open_at(apart("status"), O_RDONLY, OFFSET);
    int apart_folder = open_at(apart(""), O_RDONLY | O_DIRECTORY, 0);
    int own_info = open_at("/proc/self/fdinfo/0", O_RDONLY, 3);
    static const char known[] = "what is read through /proc/self/mem";
    int status = open_at("/proc/self/status", O_RDONLY, OFFSET);
    int comm = open_at("/proc/thread-self/comm", O_RDWR, 0);
    int memory = open_at("/proc/self/mem", O_RDONLY, (off_t)(uintptr_t)known);
    int high = open_at("/proc/self/mem", O_RDONLY, HIGH);
    int folder = open_at("/proc/self/fd", O_RDONLY | O_DIRECTORY, 0);
    int processor = open_at("/proc/cpuinfo", O_RDONLY, OFFSET);
    int kernel = open_at("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY, 3);
    int spaces[SPACES];
    for (int i = 0; i < SPACES; i++)
        spaces[i] = (int)NEED(open(namespaces[i], O_RDONLY | (i % 2 ? O_CLOEXEC : 0)));
    int group = open_group();
    ready();
    await_go();

    char text[4096] = {0};
    stands_at("status", status, OFFSET);
    NEED(pread(status, text, sizeof text - 1, 0));
    const char *line = strstr(text, "\nPid:");
    CHECK(line && atoi(line + 5) == getpid(), "status is that of %s", line ? line : "nobody");
    for (int i = 0; i < SPACES; i++)
        is(namespaces[i], spaces[i]);
    if (group >= 0)
        stands_at("cgroup.procs", group, OFFSET);
    is("/proc/self/status", status);
    is(of_thread("status"), thread);
    is(of_thread("status"), again);
    is(of_thread(""), thread_folder);
    is(apart("status"), apart_status);
    has_path(apart("status"), apart_status);
    stands_at("status of a thread by its id", apart_status, OFFSET);
    is(apart(""), apart_folder);
    has_path(apart(""), apart_folder);
    is("/proc/self/fdinfo/0", own_info);
    stands_at("status of a thread", again, OFFSET);
    NEED(lseek(thread, 1, SEEK_SET));
    stands_at("status of a thread, shared", again, 1);
    CHECK(fcntl(again, F_GETFD) == FD_CLOEXEC && fcntl(thread, F_GETFD) == 0, "close-on-exec");
    stands_at("fdinfo", own_info, 3);
    CHECK(pread(own_info, text, 4, 0) == 4 && memcmp(text, "pos:", 4) == 0, "no fdinfo: %s", text);

    is("/proc/thread-self/comm", comm);
    is("/proc/self/fd", folder);
    is("/proc/cpuinfo", processor);
    is("/sys/kernel/mm/transparent_hugepage/enabled", kernel);
    memset(text, 0, sizeof text);
    CHECK(read(memory, text, sizeof known) == sizeof known && strcmp(text, known) == 0,
          "mem gives \"%s\"", text);
    stands_at("mem", high, HIGH);
    stands_at("cpuinfo", processor, OFFSET);
    stands_at("enabled", kernel, 3);
    NEED(write(comm, "renamed", 7));
    char name[16] = {0};
    FILE *own = fopen("/proc/self/comm", "r");
    CHECK(own && fgets(name, sizeof name, own) && strcmp(name, "renamed\n") == 0, "comm is %s",
          name);
    finish();
}
