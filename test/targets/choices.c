/*
 * Descriptors of several kinds, and checks of what they are after `go`. Each argument is one check:
 *   N closed, N null, N at PATH, N reads TEXT, N says TEXT, N offset OFFSET,
 *   N flags FLAGS (decimal), mapped TEXT, follows, shows, env NAME VALUE, cwd PATH
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PAGE 4096

/* The file of descriptor 14, twice: to write and to read. */
static char *mapped;
static const char *shown;

static void place(int from, int to) {
    NEED(dup2(from, to));
    NEED(close(from));
}

/* 10 and 11: a pair of sockets. 12: a file it appends to. 13: one it reads. 2: a file. */
static void set_up(void) {
    int pair[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    place(pair[0], 20);
    place(pair[1], 11);
    place(20, 10);
    int log = NEED(open("log", O_RDWR | O_APPEND | O_CREAT, 0600));
    NEED(write(log, "12345", 5));
    place(log, 12);
    place(NEED(open("input", O_RDONLY | O_CLOEXEC)), 13);
    NEED(lseek(13, 3, SEEK_SET));
    int shared = NEED(open("shared", O_RDWR | O_CREAT, 0600));
    NEED(ftruncate(shared, PAGE));
    mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
    NEED((intptr_t)mapped);
    memcpy(mapped, "mapped", 7);
    int readable = NEED(open("shared", O_RDONLY));
    shown = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, readable, 0);
    NEED((intptr_t)shown);
    NEED(close(readable));
    place(shared, 14);
    place(NEED(open("err", O_WRONLY | O_CREAT, 0600)), 2);
}

static void check_path(int fd, const char *expected) {
    char link[64], path[PAGE];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    CHECK(!strcmp(path, expected), "descriptor %d is %s instead of %s", fd, path, expected);
}

static void check_null(int fd) {
    struct stat stat;
    CHECK(fstat(fd, &stat) == 0 && S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(1, 3),
          "descriptor %d is not the null device", fd);
}

/* All that is left to read, up to a page. */
static void check_text(int fd, const char *expected) {
    char text[PAGE];
    ssize_t got = read(fd, text, sizeof text - 1);
    CHECK(got >= 0, "read of descriptor %d: %s", fd, strerror(errno));
    text[got < 0 ? 0 : got] = '\0';
    CHECK(!strcmp(text, expected), "descriptor %d gives \"%s\" instead of \"%s\"", fd, text,
          expected);
}

static void check_descriptor(int fd, const char *what, const char *value) {
    if (!strcmp(what, "closed"))
        CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF, "descriptor %d is open", fd);
    else if (!strcmp(what, "null"))
        check_null(fd);
    else if (!strcmp(what, "at"))
        check_path(fd, value);
    else if (!strcmp(what, "reads"))
        check_text(fd, value);
    else if (!strcmp(what, "says"))
        CHECK(write(fd, value, strlen(value)) == (ssize_t)strlen(value), "write to descriptor %d",
              fd);
    else if (!strcmp(what, "offset"))
        CHECK(lseek(fd, 0, SEEK_CUR) == atol(value), "descriptor %d is at %ld", fd,
              (long)lseek(fd, 0, SEEK_CUR));
    else if (!strcmp(what, "flags"))
        CHECK((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)) == atoi(value),
              "descriptor %d has the flags %o", fd, fcntl(fd, F_GETFL));
    else
        fail("what is \"%s\"?", what);
}

static void check_environment(const char *name, const char *value) {
    const char *found = getenv(name);
    CHECK(found && !strcmp(found, value), "%s is %s in the block", name, found ? found : "missing");
    char block[1 << 16], entry[PAGE];
    size_t length = slurp("/proc/self/environ", block, sizeof block);
    int wanted = snprintf(entry, sizeof entry, "%s=%s", name, value) + 1;
    CHECK(memmem(block, length + 1, entry, (size_t)wanted), "%s is not in /proc/self/environ",
          entry);
}

static void check(char *text) {
    char *word = strsep(&text, " ");
    if (!strcmp(word, "follows")) {
        CHECK(pwrite(14, "M", 1, 0) == 1, "write to the mapped file");
        CHECK(mapped[0] == 'M', "what is mapped does not follow");
    } else if (!strcmp(word, "shows")) {
        mapped[1] = 'A';
        CHECK(shown[1] == 'A', "what is mapped to be read does not follow");
    } else if (!strcmp(word, "mapped"))
        CHECK(!strcmp(mapped, text), "\"%s\" is mapped", mapped);
    else if (!strcmp(word, "env")) {
        char *name = strsep(&text, " ");
        check_environment(name, text);
    } else if (!strcmp(word, "cwd")) {
        char path[PAGE];
        CHECK(getcwd(path, sizeof path) && !strcmp(path, text), "the directory is %s", path);
    } else {
        char *what = strsep(&text, " ");
        check_descriptor(atoi(word), what, text);
    }
}

int main(int argc, char **argv) {
    set_up();
    ready();
    await_go();
    for (int i = 1; i < argc; i++)
        check(argv[i]);
    finish();
}
