/*
 * Directories and FIFOs that were deleted: open ones, one on its way in a socket, and the working
 * directory. Works in the current directory, which is the test's own.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROOM = 1 << 16 };
static const struct timespec TIMES[2] = {{1000000000, 1}, {-3, 999999999}};

static int opened(const char *path, int flags) {
    return (int)NEED(open(path, flags));
}
/* Owner, mode and times that nothing new has. */
static void mark(int fd, mode_t mode, struct stat *now) {
    if (geteuid() == 0)
        NEED(fchown(fd, 1234, 4321));
    NEED(fchmod(fd, mode));
    NEED(futimens(fd, TIMES));
    NEED(fstat(fd, now));
}
static void unchanged(const char *what, int fd, const struct stat *before) {
    struct stat now;
    NEED(fstat(fd, &now));
    CHECK(now.st_mode == before->st_mode, "%s: mode is %o", what, now.st_mode);
    CHECK(now.st_uid == before->st_uid && now.st_gid == before->st_gid, "%s: owner is %u:%u", what,
          now.st_uid, now.st_gid);
    CHECK(now.st_nlink == 0, "%s: %lu links", what, (unsigned long)now.st_nlink);
    CHECK(memcmp(&now.st_atim, &before->st_atim, sizeof now.st_atim) == 0, "%s: read at %ld", what,
          now.st_atim.tv_sec);
    CHECK(memcmp(&now.st_mtim, &before->st_mtim, sizeof now.st_mtim) == 0, "%s: written at %ld",
          what, now.st_mtim.tv_sec);
}
static void is_one(const char *what, int a, int b, bool wanted) {
    struct stat first, second;
    NEED(fstat(a, &first));
    NEED(fstat(b, &second));
    CHECK((first.st_ino == second.st_ino && first.st_dev == second.st_dev) == wanted, "%s: %s",
          what, wanted ? "two of them" : "one and the same");
}
static void send_away(int socket, int fd) {
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    NEED(sendmsg(socket, &message, 0));
    NEED(close(fd));
}
static int take_back(int socket) {
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    NEED(recvmsg(socket, &message, 0));
    int fd = -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}
static short polled(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    NEED(poll(&one, 1, 0));
    return one.revents;
}

static int folder, again, only_path, other, here, sent[2], flags[4];
static struct stat folder_before, here_before, above_before;
static void make_folders(void) {
    NEED(mkdir("folder", 0700));
    NEED(mkdir("other", 0700));
    NEED(mkdir("here", 0700));
    folder = opened("folder", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    again = opened("folder", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    only_path = opened("folder", O_PATH | O_DIRECTORY);
    other = opened("other", O_RDONLY);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sent));
    send_away(sent[0], opened("folder", O_RDONLY));
    NEED(stat(".", &above_before));
    NEED(chdir("here"));
    here = opened(".", O_RDONLY);
    NEED(rmdir("../folder") + rmdir("../other") + rmdir("../here"));
    NEED(flock(folder, LOCK_EX));
    mark(folder, 01510, &folder_before);
    mark(here, 0700, &here_before);
    int all[] = {folder, again, only_path, other};
    for (int i = 0; i < 4; i++)
        flags[i] = fcntl(all[i], F_GETFL);
}
static void check_folders(void) {
    char buffer[512];
    struct stat now;
    unchanged("folder", folder, &folder_before);
    unchanged("working directory", here, &here_before);
    is_one("opened twice", folder, again, true);
    is_one("by path only", folder, only_path, true);
    is_one("sent", folder, take_back(sent[1]), true);
    is_one("another", folder, other, false);
    int all[] = {folder, again, only_path, other};
    for (int i = 0; i < 4; i++)
        CHECK(fcntl(all[i], F_GETFL) == flags[i], "folder %d: flags are %o, not %o", i,
              fcntl(all[i], F_GETFL), flags[i]);
    NEED(stat("..", &now));
    CHECK(now.st_ino == above_before.st_ino && now.st_dev == above_before.st_dev,
          "working directory: another above it");
    NEED(fstatat(folder, "..", &now, 0));
    CHECK(now.st_ino == above_before.st_ino, "folder: another above it");
    CHECK(fcntl(again, F_GETFD) == FD_CLOEXEC, "close-on-exec");
    CHECK(syscall(SYS_getdents64, folder, buffer, sizeof buffer) == -1 && errno == ENOENT,
          "folder: it can be listed");
    CHECK(openat(other, "new", O_CREAT | O_WRONLY, 0600) == -1 && errno == ENOENT,
          "folder: it takes files");
    CHECK(flock(again, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "folder: the lock");
    NEED(flock(folder, LOCK_UN));
    CHECK(flock(again, LOCK_EX | LOCK_NB) == 0, "folder: the lock is another's");
    CHECK(syscall(SYS_getcwd, buffer, sizeof buffer) == -1 && errno == ENOENT, "getcwd");
    NEED(stat(".", &now));
    CHECK(now.st_ino == here_before.st_ino || now.st_nlink == 0, "working directory: a link");
    int dot = opened(".", O_PATH);
    is_one("working directory", here, dot, true);
}

static int reader, writer, both, waiting, ended;
static struct stat fifo_before, waiting_before;
static void make_fifos(void) {
    /* Whether others have an end is told to root alone where there never was a writer. */
    const char *names[] = {"fifo", "ended", "waiting"};
    int count = geteuid() == 0 ? 3 : 2;
    for (int i = 0; i < count; i++)
        NEED(mkfifo(names[i], 0600));
    reader = opened("fifo", O_RDONLY | O_NONBLOCK);
    writer = opened("fifo", O_WRONLY | O_APPEND);
    both = opened("fifo", O_RDWR);
    waiting = count == 3 ? opened("waiting", O_RDONLY | O_NONBLOCK) : -1;
    ended = opened("ended", O_RDONLY | O_NONBLOCK);
    NEED(close(opened("ended", O_WRONLY)));
    for (int i = 0; i < count; i++)
        NEED(unlink(names[i]));
    NEED(fcntl(writer, F_SETPIPE_SZ, 2 * ROOM));
    NEED(write(writer, "left", 4));
    mark(reader, 0640, &fifo_before);
    if (waiting >= 0)
        mark(waiting, 0400, &waiting_before);
}
static void check_fifos(void) {
    char text[8] = {0};
    struct stat now;
    unchanged("FIFO", reader, &fifo_before);
    is_one("ends", reader, writer, true);
    is_one("both ends", reader, both, true);
    is_one("FIFOs", reader, ended, false);
    NEED(fstat(ended, &now));
    CHECK(S_ISFIFO(now.st_mode) && now.st_nlink == 0, "ended: it is no FIFO");
    CHECK(fcntl(both, F_GETPIPE_SZ) == 2 * ROOM, "FIFO: capacity is %d", fcntl(both, F_GETPIPE_SZ));
    CHECK(fcntl(writer, F_GETFL) & O_APPEND, "FIFO: flags");
    CHECK(read(both, text, sizeof text) == 4 && strcmp(text, "left") == 0, "FIFO: reads %s", text);
    CHECK(read(reader, text, 1) == -1 && errno == EAGAIN, "FIFO: not empty");
    NEED(write(writer, "more", 4));
    CHECK(read(reader, text, 4) == 4 && strcmp(text, "more") == 0, "FIFO: reads %s", text);
    if (waiting >= 0) {
        unchanged("waiting", waiting, &waiting_before);
        CHECK(polled(waiting) == 0, "waiting: poll gives %x", polled(waiting));
    }
    CHECK(polled(ended) == POLLHUP, "ended: poll gives %x", polled(ended));
    CHECK(read(ended, text, 1) == 0, "ended: there is something to read");
}

int main(void) {
    make_fifos();
    make_folders();
    ready();
    await_go();
    check_folders();
    check_fifos();
    finish();
}
