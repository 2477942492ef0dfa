/*
 * Memory in huge pages that may be shared: memfds, anonymous memory, files of hugetlbfs; content,
 * holes, seals, pages that a private mapping has copied. `hugepages DIR`: DIR is a mount of
 * hugetlbfs with pages of 2 MiB; without it only what an ordinary user can have frozen.
 * `hugepages anonymous`: what such a user cannot.
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2ul << 20)
enum { READ_WRITE = PROT_READ | PROT_WRITE, HUGETLB = MAP_HUGETLB | 21 << MAP_HUGE_SHIFT };
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static char *map(size_t pages, int prot, int flags, int fd) {
    void *memory = mmap(NULL, pages * HUGE, prot, flags, fd, 0);
    NEED((intptr_t)memory);
    return memory;
}

/* Regions that are looked at in smaps, before and after. */
enum { REGIONS = 16 };
static struct region {
    const char *what, *memory;
    char flags[160];
} regions[REGIONS];
static int region_count;
static void watch(const char *what, const char *memory) {
    regions[region_count++] = (struct region){.what = what, .memory = memory};
}
static void take_regions(void) {
    for (int i = 0; i < region_count; i++)
        region_flags(regions[i].memory, regions[i].flags, sizeof regions[i].flags);
}
static void check_regions(void) {
    char flags[160];
    for (int i = 0; i < region_count; i++) {
        region_flags(regions[i].memory, flags, sizeof flags);
        CHECK(strcmp(flags, regions[i].flags) == 0, "%s: VmFlags were %s, are %s", regions[i].what,
              regions[i].flags, flags);
        CHECK(strstr(flags, "ht") != NULL, "%s: not in huge pages: %s", regions[i].what, flags);
    }
}

static int64_t blocks(int fd) {
    struct stat stat;
    NEED(fstat(fd, &stat));
    return stat.st_blocks;
}

static int huge_memfd(const char *name, unsigned flags, size_t pages) {
    int fd = memfd_create(name, MFD_HUGETLB | 21 << MAP_HUGE_SHIFT | flags);
    if (fd < 0)
        leave_out("there are no huge pages of 2 MiB");
    NEED(ftruncate(fd, (off_t)(pages * HUGE)));
    return fd;
}

static int open_fd, sealed_fd, empty_fd, full_fd;
static char *view, *part, *copy, *reserved, *plain;
static void make_memfds(void) {
    open_fd = huge_memfd("cache", MFD_ALLOW_SEALING | MFD_CLOEXEC, 4);
    view = map(4, READ_WRITE, MAP_SHARED, open_fd);
    fill(view, HUGE, 1);
    fill(view + 2 * HUGE, HUGE, 2);
    NEED(mprotect(view + 2 * HUGE, HUGE, PROT_READ));
    part = mmap(NULL, HUGE, PROT_READ, MAP_SHARED | MAP_NORESERVE, open_fd, 2 * HUGE);
    NEED((intptr_t)part);
    NEED(lseek(open_fd, 4711, SEEK_SET));
    NEED(fchmod(open_fd, 0640));

    sealed_fd = huge_memfd("sealed", MFD_ALLOW_SEALING, 2);
    char *memory = map(2, READ_WRITE, MAP_SHARED, sealed_fd);
    fill(memory, 2 * HUGE, 3);
    NEED(munmap(memory, 2 * HUGE));
    NEED(fcntl(sealed_fd, F_ADD_SEALS, SEALS));

    empty_fd = huge_memfd("empty", 0, 3);
    /* Zeros, all of which are there. */
    full_fd = huge_memfd("full", 0, 2);
    NEED(fallocate(full_fd, 0, 0, 2 * HUGE));

    copy = map(3, READ_WRITE, MAP_PRIVATE, open_fd);
    fill(copy + HUGE, HUGE, 4);
    NEED(mprotect(copy, 3 * HUGE, PROT_READ));

    plain = map(2, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | HUGETLB, -1);
    fill(plain, HUGE, 5);
    reserved = map(64, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | HUGETLB, -1);
    fill(reserved + 2 * HUGE, HUGE, 6);
    watch("memfd", view);
    watch("memfd, read-only part", view + 2 * HUGE);
    watch("memfd, not reserved", part);
    watch("memfd, private", copy);
    watch("private", plain);
    watch("private, not reserved", reserved);
}
static void is_name(int fd, const char *wanted) {
    char path[64], link[256] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    NEED(readlink(path, link, sizeof link - 1));
    CHECK(strcmp(link, wanted) == 0, "is called %s, not %s", link, wanted);
}
static void check_memfds(void) {
    static char buffer[HUGE];
    is_name(open_fd, "/memfd:cache (deleted)");
    struct stat stat;
    NEED(fstat(open_fd, &stat));
    CHECK(stat.st_size == 4 * HUGE && stat.st_blksize == HUGE, "size and pages of the memfd");
    CHECK((stat.st_mode & 07777) == 0640, "mode of the memfd: %o", stat.st_mode & 07777);
    CHECK(blocks(open_fd) == 2 * (int64_t)(HUGE / 512), "the memfd's holes are filled: %ld blocks",
          (long)blocks(open_fd));
    CHECK(lseek(open_fd, 0, SEEK_CUR) == 4711, "offset");
    CHECK(fcntl(open_fd, F_GETFD) == FD_CLOEXEC && fcntl(open_fd, F_GET_SEALS) == 0, "flags");
    verify("memfd", view, HUGE, 1);
    verify("memfd, third page", view + 2 * HUGE, HUGE, 2);
    verify("memfd, its second mapping", part, HUGE, 2);
    verify("private mapping, what it shows of the file", copy, HUGE, 1);
    verify("private mapping, its own page", copy + HUGE, HUGE, 4);
    CHECK(pread(open_fd, buffer, HUGE, HUGE) == (ssize_t)HUGE, "read a hole");
    verify_zero("memfd, hole", buffer, HUGE);
    fill(view, HUGE, 10);
    fill(view + HUGE, HUGE, 11);
    NEED(mprotect(view + 2 * HUGE, HUGE, READ_WRITE));
    fill(view + 2 * HUGE, HUGE, 12);
    verify("private mapping, after a write to the file", copy, HUGE, 10);
    verify("private mapping, own page after a write to the file", copy + HUGE, HUGE, 4);
    verify("second mapping, after a write", part, HUGE, 12);
    CHECK(pread(open_fd, buffer, HUGE, HUGE) == (ssize_t)HUGE, "read");
    verify("memfd, read after a write", buffer, HUGE, 11);
    NEED(mprotect(copy, HUGE, READ_WRITE));
    fill(copy, HUGE, 13);
    verify("memfd, after a private write", view, HUGE, 10);

    is_name(sealed_fd, "/memfd:sealed (deleted)");
    CHECK(fcntl(sealed_fd, F_GET_SEALS) == SEALS, "seals");
    CHECK(pread(sealed_fd, buffer, HUGE, HUGE) == (ssize_t)HUGE, "read what is sealed");
    static char wanted[2 * HUGE];
    fill(wanted, sizeof wanted, 3);
    CHECK(memcmp(buffer, wanted + HUGE, HUGE) == 0, "content of the sealed memfd");
    CHECK(mmap(NULL, HUGE, READ_WRITE, MAP_SHARED, sealed_fd, 0) == MAP_FAILED && errno == EPERM,
          "the seal does not hold");
    CHECK(fcntl(empty_fd, F_GET_SEALS) == F_SEAL_SEAL, "a memfd without seals");
    CHECK(blocks(empty_fd) == 0, "the empty memfd has pages");
    CHECK(blocks(full_fd) == 2 * (int64_t)(HUGE / 512), "pages of zeros are gone");
    verify("private", plain, HUGE, 5);
    verify_zero("private, untouched", plain + HUGE, HUGE);
    verify("private, not reserved", reserved + 2 * HUGE, HUGE, 6);
}

static char *shared, *moved, *named, *shown, *deleted, *file_copy;
static const char *folder;
static int make_file(const char *name, size_t pages, uint64_t seed) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = (int)NEED(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    NEED(ftruncate(fd, (off_t)(pages * HUGE)));
    char *memory = map(pages, READ_WRITE, MAP_SHARED, fd);
    fill(memory, pages * HUGE, seed);
    NEED(munmap(memory, pages * HUGE));
    return fd;
}
static int named_fd, deleted_fd;
static void make_privileged(void) {
    /* In parts, one of which was moved, and one is gone. */
    shared = map(4, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS | HUGETLB, -1);
    fill(shared, HUGE, 20);
    fill(shared + 2 * HUGE, HUGE, 21);
    NEED(mprotect(shared + HUGE, HUGE, PROT_READ));
    char *room = map(2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | HUGETLB, -1);
    moved = mremap(shared + 2 * HUGE, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    NEED((intptr_t)moved);
    NEED(munmap(room + HUGE, HUGE));
    NEED(munmap(shared + 3 * HUGE, HUGE));
    named_fd = make_file("named", 1, 22);
    named = map(1, READ_WRITE, MAP_SHARED, named_fd);
    file_copy = map(1, READ_WRITE, MAP_PRIVATE, named_fd);
    int fd = make_file("shown", 1, 23);
    close(fd);
    char path[4096];
    snprintf(path, sizeof path, "%s/shown", folder);
    fd = (int)NEED(open(path, O_RDONLY));
    shown = map(1, PROT_READ, MAP_SHARED, fd);
    close(fd);
    deleted_fd = make_file("deleted", 2, 24);
    deleted = map(1, READ_WRITE, MAP_SHARED, deleted_fd);
    snprintf(path, sizeof path, "%s/deleted", folder);
    NEED(unlink(path));
    watch("shared", shared);
    watch("shared, read-only", shared + HUGE);
    watch("shared, moved", moved);
    watch("file", named);
    watch("file, private", file_copy);
    watch("file, read-only", shown);
    watch("deleted file", deleted);
}
static void check_privileged(void) {
    static char buffer[HUGE];
    verify("shared", shared, HUGE, 20);
    verify_zero("shared, hole", shared + HUGE, HUGE);
    verify("shared, moved", moved, HUGE, 21);
    fill(shared, HUGE, 30);
    int child = fork();
    NEED(child);
    if (child == 0) {
        fill(moved, HUGE, 31);
        _exit(0);
    }
    int status = 0;
    NEED(waitpid(child, &status, 0));
    verify("shared, written by a child", moved, HUGE, 31);
    verify("file", named, HUGE, 22);
    verify("file, private", file_copy, HUGE, 22);
    fill(named, HUGE, 32);
    CHECK(pread(named_fd, buffer, HUGE, 0) == (ssize_t)HUGE, "read the file");
    verify("file, read after a write", buffer, HUGE, 32);
    fill(file_copy, HUGE, 33);
    verify("file, after a private write", named, HUGE, 32);
    verify("file, read-only", shown, HUGE, 23);
    static char wanted[2 * HUGE];
    fill(wanted, sizeof wanted, 24);
    CHECK(memcmp(deleted, wanted, HUGE) == 0, "deleted file, mapped");
    CHECK(pread(deleted_fd, buffer, HUGE, HUGE) == (ssize_t)HUGE, "read the deleted file");
    CHECK(memcmp(buffer, wanted + HUGE, HUGE) == 0, "deleted file, second page");
    fill(deleted, HUGE, 34);
    CHECK(pread(deleted_fd, buffer, HUGE, 0) == (ssize_t)HUGE, "read the deleted file");
    verify("deleted file, read after a write", buffer, HUGE, 34);
}

static __attribute__((noreturn)) void only_anonymous(void) {
    shared = map(2, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS | HUGETLB, -1);
    fill(shared, HUGE, 40);
    ready();
    await_go();
    verify("shared", shared, HUGE, 40);
    finish();
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "anonymous") == 0)
        only_anonymous();
    folder = argc > 1 ? argv[1] : NULL;
    make_memfds();
    if (folder != NULL)
        make_privileged();
    take_regions();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_regions();
    check_memfds();
    if (folder != NULL)
        check_privileged();
    finish();
}
