/* Watches of files: their numbers, masks and files, and no event that nobody caused. */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REMOVED = 100 };

static int watcher, twin, blocking, set, top, deep, file, once;

static void touch(const char *path) {
    int fd = (int)NEED(open(path, O_CREAT | O_WRONLY | O_APPEND, 0600));
    NEED(write(fd, "x", 1));
    close(fd);
}

static void expect(const char *what, int fd, int wd, uint32_t mask, const char *name) {
    union {
        struct inotify_event event;
        char bytes[sizeof(struct inotify_event) + 256];
    } got = {0};
    /* One event at a time: the next one does not fit in as well. */
    size_t room = sizeof got.event + (name == NULL ? 0 : 16);
    ssize_t length = read(fd, &got, room);
    CHECK(length > 0, "%s: read gives %s", what, strerror(errno));
    CHECK(got.event.wd == wd && got.event.mask == mask, "%s: watch %d, event %x, not %d, %x", what,
          got.event.wd, got.event.mask, wd, mask);
    CHECK(name == NULL || strcmp(got.event.name, name) == 0, "%s: name is %s", what,
          got.event.name);
}

static bool is_ready(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1;
}

int main(void) {
    static char before[4096], after[4096], path[64];
    NEED(mkdir("tree", 0700));
    NEED(mkdir("tree/deep", 0700));
    touch("tree/file");
    watcher = (int)NEED(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    twin = (int)NEED(dup(watcher));
    top = (int)NEED(inotify_add_watch(watcher, "tree", IN_CREATE | IN_ONLYDIR));
    for (int i = 0; i < REMOVED; i++) {
        NEED(inotify_rm_watch(watcher, (int)NEED(inotify_add_watch(watcher, ".", IN_CREATE))));
        NEED(read(watcher, after, sizeof after));
    }
    deep = (int)NEED(inotify_add_watch(watcher, "tree/deep", IN_CREATE | IN_DELETE));
    file = (int)NEED(inotify_add_watch(watcher, "tree/file", IN_MODIFY | IN_EXCL_UNLINK));
    blocking = (int)NEED(inotify_init1(0));
    once = (int)NEED(inotify_add_watch(blocking, "tree/file", IN_MODIFY | IN_ONESHOT));
    set = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 4711};
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, twin, &event));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", watcher);
    slurp(path, before, sizeof before);
    self_take();
    ready();
    await_go();
    self_compare(false);
    slurp(path, after, sizeof after);
    CHECK(strcmp(strstr(before, "inotify"), strstr(after, "inotify")) == 0,
          "watches were\n%sand are\n%s", strstr(before, "inotify"), strstr(after, "inotify"));
    CHECK(!is_ready(watcher) && !is_ready(blocking), "events that nobody caused");
    CHECK(epoll_wait(set, &event, 1, 0) == 0, "epoll: events that nobody caused");
    CHECK(fcntl(watcher, F_GETFL) & O_NONBLOCK, "O_NONBLOCK");
    CHECK(!(fcntl(blocking, F_GETFL) & O_NONBLOCK), "O_NONBLOCK of the other");
    touch("tree/new");
    touch("tree/deep/new");
    touch("tree/file");
    CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.u64 == 4711, "epoll: no event");
    expect("directory", watcher, top, IN_CREATE, "new");
    expect("directory inside", twin, deep, IN_CREATE, "new");
    expect("file", watcher, file, IN_MODIFY, NULL);
    CHECK(!is_ready(watcher), "more events than there should be");
    expect("one-shot", blocking, once, IN_MODIFY, NULL);
    expect("one-shot", blocking, once, IN_IGNORED, NULL);
    touch("tree/file");
    CHECK(!is_ready(blocking), "one-shot: a second event");
    NEED(unlink("tree/new"));
    NEED(unlink("tree/deep/new"));
    finish();
}
