/*
 * Files in every state that a path alone does not tell: deleted, without a name from the start,
 * renamed, behind links, larger than 4 GiB. Works in the current directory, which is the test's
 * own. With the argument `rights`, run by root: what was opened with rights that are given up
 * since.
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, NOBODY = 65534 };
static const off_t FAR = 5l << 30;

static int make(const char *name, int flags) {
    return (int)NEED(open(name, flags | O_CREAT, 0600));
}
static void put(int fd, const char *text, off_t offset) {
    NEED(pwrite(fd, text, strlen(text), offset) - (ssize_t)strlen(text));
}
static void holds(const char *what, int fd, const char *text, off_t offset) {
    char buffer[64] = {0};
    ssize_t got = pread(fd, buffer, strlen(text), offset);
    CHECK(got == (ssize_t)strlen(text) && strcmp(buffer, text) == 0,
          "%s: at %ld is \"%s\", not \"%s\"", what, (long)offset, buffer, text);
}
static void one_inode(const char *what, int a, int b, bool wanted) {
    struct stat first, second;
    NEED(fstat(a, &first));
    NEED(fstat(b, &second));
    CHECK((first.st_ino == second.st_ino && first.st_dev == second.st_dev) == wanted,
          "%s: %sone file", what, wanted ? "not " : "");
}

static int named, ended[3], nameless, direct;
static struct stat ended_before;
static void make_deleted(void) {
    ended[0] = make("gone", O_RDWR);
    put(ended[0], "first", 0);
    put(ended[0], "second", 3 * PAGE);
    NEED(ftruncate(ended[0], 10 * PAGE + 7));
    NEED(link("gone", "gone too"));
    ended[1] = (int)NEED(open("gone too", O_WRONLY | O_APPEND));
    ended[2] = (int)NEED(open("gone", O_RDONLY));
    NEED(lseek(ended[2], 3, SEEK_SET));
    NEED(unlink("gone"));
    NEED(unlink("gone too"));
    NEED(fchmod(ended[0], 02640));
    if (geteuid() == 0) {
        NEED(fchown(ended[0], 1234, 4321));
        NEED(fchmod(ended[0], 02640));
    }
    struct timespec times[2] = {{1000000000, 1}, {-3, 999999999}};
    NEED(futimens(ended[0], times));
    NEED(fstat(ended[0], &ended_before));
    nameless = open(".", O_RDWR | O_TMPFILE, 0604);
    if (nameless < 0)
        nameless = (int)NEED(dup(ended[0]));
    else
        put(nameless, "nameless", 0);
    named = make("named", O_RDWR);
    direct = open("named", O_RDONLY | O_DIRECT);
}
static void check_deleted(void) {
    struct stat now;
    NEED(fstat(ended[0], &now));
    CHECK(now.st_mode == ended_before.st_mode, "deleted: mode is %o", now.st_mode);
    CHECK(now.st_uid == ended_before.st_uid && now.st_gid == ended_before.st_gid,
          "deleted: owner is %u:%u", now.st_uid, now.st_gid);
    CHECK(now.st_size == ended_before.st_size, "deleted: size is %ld", (long)now.st_size);
    CHECK(now.st_mtim.tv_sec == -3 && now.st_mtim.tv_nsec == 999999999,
          "deleted: mtime is %ld.%09ld", now.st_mtim.tv_sec, now.st_mtim.tv_nsec);
    CHECK(now.st_atim.tv_sec == 1000000000 && now.st_atim.tv_nsec == 1,
          "deleted: atime is %ld.%09ld", now.st_atim.tv_sec, now.st_atim.tv_nsec);
    CHECK(now.st_nlink == 0, "deleted: %lu links", (unsigned long)now.st_nlink);
    one_inode("deleted, by its other name", ended[0], ended[1], true);
    one_inode("deleted, opened again", ended[0], ended[2], true);
    CHECK(lseek(ended[0], 0, SEEK_HOLE) == PAGE, "deleted: hole at %ld",
          (long)lseek(ended[0], 0, SEEK_HOLE));
    CHECK(lseek(ended[0], PAGE, SEEK_DATA) == 3 * PAGE, "deleted: data at %ld",
          (long)lseek(ended[0], PAGE, SEEK_DATA));
    CHECK(lseek(ended[0], 4 * PAGE, SEEK_DATA) == -1 && errno == ENXIO, "deleted: data behind");
    CHECK(lseek(ended[2], 0, SEEK_CUR) == 3, "deleted: offset");
    CHECK(fcntl(ended[1], F_GETFL) & O_APPEND, "deleted: flags");
    NEED(write(ended[1], "appended", 8));
    holds("deleted", ended[2], "appended", ended_before.st_size);
    holds("deleted", ended[2], "second", 3 * PAGE);
    if (nameless > direct)
        holds("O_TMPFILE", nameless, "nameless", 0);
    if (direct >= 0)
        CHECK(fcntl(direct, F_GETFL) & O_DIRECT, "O_DIRECT");
}

static int renamed, left, right, through, far, path_only, link_itself, folder;
static void make_named(void) {
    renamed = make("before", O_RDWR);
    put(renamed, "renamed", 0);
    NEED(rename("before", "after"));
    left = make("left", O_RDWR);
    NEED(link("left", "right"));
    right = (int)NEED(open("right", O_RDWR | O_NOFOLLOW));
    NEED(symlink("left", "link"));
    through = (int)NEED(open("link", O_RDWR));
    NEED(lseek(through, 1, SEEK_SET));
    path_only = (int)NEED(open("left", O_PATH));
    link_itself = (int)NEED(open("link", O_PATH | O_NOFOLLOW));
    NEED(mkdir("folder", 0700));
    folder = (int)NEED(open("folder", O_PATH | O_DIRECTORY));
    far = make("far", O_RDWR);
    put(far, "far away", FAR);
    NEED(lseek(far, FAR + 4, SEEK_SET));
}
static void leads_to(const char *what, int fd, const char *name) {
    char path[64], target[4096] = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    NEED(readlink(path, target, sizeof target - 1));
    const char *last = strrchr(target, '/');
    CHECK(last && strcmp(last + 1, name) == 0, "%s: leads to %s", what, target);
}
static void check_named(void) {
    char target[64] = {0};
    struct stat status;
    holds("renamed", renamed, "renamed", 0);
    leads_to("renamed", renamed, "after");
    one_inode("hard links", left, right, true);
    leads_to("hard link", right, "right");
    leads_to("opened through a link", through, "left");
    CHECK(lseek(through, 0, SEEK_CUR) == 1 && lseek(left, 0, SEEK_CUR) == 0, "offsets");
    one_inode("opened through a link", left, through, true);
    one_inode("by path only", left, path_only, true);
    CHECK(read(path_only, target, 1) == -1 && errno == EBADF, "O_PATH can be read");
    CHECK(readlinkat(link_itself, "", target, sizeof target - 1) == 4 &&
              strcmp(target, "left") == 0,
          "the link itself leads to %s", target);
    CHECK(fstatat(folder, ".", &status, 0) == 0 && S_ISDIR(status.st_mode), "folder by O_PATH");
    CHECK(lseek(far, 0, SEEK_CUR) == FAR + 4, "far: offset");
    char rest[8] = {0};
    CHECK(read(far, rest, 4) == 4 && strcmp(rest, "away") == 0, "far: reads %s", rest);
    NEED(unlink("left") + unlink("right") + unlink("link") + unlink("after") + unlink("far"));
}

static int big;
static void make_big(void) {
    big = make("big", O_RDWR);
    put(big, "start", 0);
    put(big, "far away", FAR);
    NEED(ftruncate(big, 2 * FAR));
    NEED(unlink("big"));
}
static void check_big(void) {
    struct stat status;
    NEED(fstat(big, &status));
    CHECK(status.st_size == 2 * FAR, "big: size is %ld", (long)status.st_size);
    CHECK(status.st_blocks < 1024, "big: %ld blocks", (long)status.st_blocks);
    holds("big", big, "start", 0);
    holds("big", big, "far away", FAR);
}

static int secret;
static void make_rights(void) {
    secret = make("secret", O_RDWR);
    put(secret, "secret", 0);
    NEED(setgroups(0, NULL));
    NEED(setresgid(NOBODY, NOBODY, NOBODY));
    NEED(setresuid(NOBODY, NOBODY, NOBODY));
    NEED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
static void check_rights(void) {
    CHECK(open("secret", O_RDWR) == -1 && errno == EACCES, "the secret can be opened");
    holds("secret", secret, "secret", 0);
    put(secret, "S", 0);
    holds("secret", secret, "Secret", 0);
}

int main(int argc, char **argv) {
    bool rights = argc > 1 && strcmp(argv[1], "rights") == 0;
    if (rights && geteuid() != 0)
        leave_out("only root can give rights up");
    if (rights) {
        make_rights();
    } else {
        make_deleted();
        make_named();
        make_big();
    }
    self_take();
    ready();
    await_go();
    self_compare(false);
    if (rights) {
        check_rights();
    } else {
        check_deleted();
        check_named();
        check_big();
    }
    finish();
}
