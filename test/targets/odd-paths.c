/*
 * Paths that are no text: bytes that are no UTF-8, and what ends a line elsewhere than here. Works
 * in a folder of that sort below the current directory, which is the test's own.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAGE = 4096, MOST = 16, LONG = 4096 };
/* A continuation alone, a character that is cut off, one that is too long; an end of line of
 * Unicode. */
#define ODD "\xff\xc3\xa9\xc3"
#define LINES "\r\xe2\x80\xa8\x80"

static char here[LONG], links[MOST][LONG];
static int fds[MOST], count;

static int keep(int fd) {
    fds[count++] = (int)NEED(fd);
    return fd;
}
static void link_of(int fd, char *to) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    to[NEED(readlink(path, to, LONG - 1))] = 0;
}
static int make(const char *name, const char *text) {
    int fd = (int)NEED(open(name, O_RDWR | O_CREAT, 0600));
    NEED(write(fd, text, strlen(text)));
    return fd;
}
/* Sockets have a name from the root on. */
static struct sockaddr_un at(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", here, name);
    if ((size_t)length >= sizeof address.sun_path)
        leave_out("the path of the working directory is too long for a socket");
    return address;
}
static int listening(const char *name) {
    struct sockaddr_un address = at(name);
    int fd = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    NEED(bind(fd, (struct sockaddr *)&address, sizeof address));
    NEED(listen(fd, 1));
    return fd;
}
static void reach(const char *name) {
    struct sockaddr_un address = at(name);
    int fd = (int)NEED(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "%s: nobody listens: %s",
          name, strerror(errno));
    close(fd);
}

int main(void) {
    char text[16] = {0}, now[LONG];
    NEED(mkdir("folder" ODD, 0700));
    /* What a careless reader takes it for. */
    NEED(mkdir("folder\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd", 0700));
    NEED(chdir("folder" ODD));
    NEED(getcwd(here, sizeof here) == NULL ? -1 : 0);

    int file = keep(make("file" ODD, "0123456789"));
    NEED(lseek(file, 4, SEEK_SET));
    keep(open(".", O_RDONLY | O_DIRECTORY));
    NEED(mkfifo("fifo" ODD, 0600));
    int fifo = keep(open("fifo" ODD, O_RDWR));
    NEED(write(fifo, "left", 4));
    NEED(symlink("nowhere", "link" ODD));
    keep(open("link" ODD, O_PATH | O_NOFOLLOW));
    int two = make("one" ODD, "of two");
    NEED(link("one" ODD, "other" ODD));
    NEED(unlink("one" ODD));
    listening("socket" ODD);
    listening("new" ODD);
    NEED(rename("new" ODD, "moved" ODD));
    int watcher = (int)NEED(inotify_init1(IN_NONBLOCK));
    int wd = (int)NEED(inotify_add_watch(watcher, "file" ODD, IN_MODIFY));
    int mapped = make("mapped" LINES, "");
    NEED(ftruncate(mapped, PAGE));
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
    NEED(shared == MAP_FAILED ? -1 : 0);
    strcpy(shared, "shared");
    char *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, mapped, 0);
    NEED(own == MAP_FAILED ? -1 : 0);
    strcpy(own, "own");
    NEED(close(mapped));
    for (int i = 0; i < count; i++)
        link_of(fds[i], links[i]);

    self_take();
    ready();
    await_go();
    self_compare(false);

    NEED(getcwd(now, sizeof now) == NULL ? -1 : 0);
    CHECK(strcmp(now, here) == 0, "the working directory is %s", now);
    for (int i = 0; i < count; i++) {
        link_of(fds[i], now);
        CHECK(strcmp(now, links[i]) == 0, "descriptor %d leads to %s", fds[i], now);
    }
    CHECK(read(file, text, 6) == 6 && strcmp(text, "456789") == 0, "file: reads %s", text);
    CHECK(read(fifo, text, 4) == 4 && memcmp(text, "left", 4) == 0, "FIFO: reads %.4s", text);
    struct stat left, found;
    NEED(fstat(two, &left));
    NEED(stat("other" ODD, &found));
    CHECK(left.st_ino == found.st_ino && left.st_dev == found.st_dev, "other name: another file");
    reach("socket" ODD);
    reach("moved" ODD);
    CHECK(strcmp(own, "own") == 0, "private mapping: %s", own);
    strcpy(shared, "anew");
    mapped = (int)NEED(open("mapped" LINES, O_RDONLY));
    CHECK(pread(mapped, text, 5, 0) == 5 && strcmp(text, "anew") == 0, "shared mapping: %s", text);
    struct inotify_event event;
    CHECK(read(watcher, &event, sizeof event) == -1 && errno == EAGAIN, "an event before");
    NEED(write(file, "x", 1));
    CHECK(read(watcher, &event, sizeof event) == sizeof event && event.wd == wd, "no event");
    finish();
}
