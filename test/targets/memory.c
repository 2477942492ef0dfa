/*
 * One region of every kind. Each kind is a row: how it is made, and what must hold afterwards.
 * The working directory is the test's own: files are made there. argv[1] is `eager` or `lazy`
 * (lazy thaw does not promise MADV_DONTNEED).
 */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 8 * PAGE };

#define READ_WRITE (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

static bool eager;
static char flags_before[64][160];

static char *map(size_t size, int protection, int flags, int fd) {
    char *memory = mmap(NULL, size, protection, flags, fd, 0);
    NEED((intptr_t)memory);
    return memory;
}

/* A file of SIZE bytes with pattern `seed`. */
static int make_file(const char *name, uint64_t seed, int flags) {
    static char content[SIZE];
    fill(content, SIZE, seed);
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    NEED(fd);
    NEED(write(fd, content, SIZE) == SIZE ? 0 : -1);
    close(fd);
    fd = open(name, flags);
    NEED(fd);
    return fd;
}

static void file_holds(const char *what, const char *name, uint64_t seed) {
    static char content[SIZE];
    int fd = open(name, O_RDONLY);
    CHECK(fd >= 0 && read(fd, content, SIZE) == SIZE, "%s: cannot read %s", what, name);
    verify(what, content, SIZE, seed);
    close(fd);
}

/* ---- the kinds ---- */

static char *anonymous, *sparse, *zeros, *guard, *unreadable, *write_only, *code;
static void make_anonymous(void) {
    guard = map(SIZE + 2 * PAGE, PROT_NONE, PRIVATE, -1);
    anonymous = guard + PAGE;
    NEED(mprotect(anonymous, SIZE, READ_WRITE));
    fill(anonymous, SIZE, 10);
    sparse = map(16 << 20, READ_WRITE, PRIVATE, -1);
    for (int i = 0; i < 16; i += 3)
        fill(sparse + ((size_t)i << 20) + PAGE, PAGE, (uint64_t)(20 + i));
    zeros = map(SIZE, READ_WRITE, PRIVATE, -1);
    memset(zeros, 0, SIZE / 2);
    verify_zero("zero pages", zeros, SIZE);
    unreadable = map(SIZE, READ_WRITE, PRIVATE, -1);
    fill(unreadable, SIZE, 11);
    NEED(mprotect(unreadable, SIZE, PROT_NONE));
    write_only = map(SIZE, READ_WRITE, PRIVATE, -1);
    fill(write_only, SIZE, 12);
    NEED(mprotect(write_only, SIZE, PROT_WRITE));
    code = map(PAGE, READ_WRITE, PRIVATE, -1);
    memcpy(code, "\xb8\x39\x05\x00\x00\xc3", 6); /* mov $1337,%eax; ret */
    NEED(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
}
static void check_anonymous(void) {
    verify("anonymous", anonymous, SIZE, 10);
    for (int i = 0; i < 16; i++) {
        char *at = sparse + ((size_t)i << 20);
        verify_zero("sparse hole", at, PAGE);
        if (i % 3 == 0)
            verify("sparse page", at + PAGE, PAGE, (uint64_t)(20 + i));
        else
            verify_zero("sparse hole", at + PAGE, PAGE);
    }
    verify_zero("zero pages", zeros, SIZE);
    CHECK(mprotect(unreadable, SIZE, PROT_READ) == 0, "mprotect: %s", strerror(errno));
    verify("data under PROT_NONE", unreadable, SIZE, 11);
    fill(write_only, PAGE, 13);
    CHECK(mprotect(write_only, SIZE, PROT_READ) == 0, "mprotect: %s", strerror(errno));
    verify("write-only, written", write_only, PAGE, 13);
    char pattern[SIZE];
    fill(pattern, SIZE, 12);
    CHECK(memcmp(write_only + PAGE, pattern + PAGE, SIZE - PAGE) == 0,
          "write-only: content differs");
    int answer = ((int (*)(void))(void *)code)();
    CHECK(answer == 1337, "code in anonymous memory returns %d", answer);
    if (eager) {
        CHECK(madvise(anonymous, PAGE, MADV_DONTNEED) == 0, "MADV_DONTNEED: %s", strerror(errno));
        verify_zero("after MADV_DONTNEED", anonymous, PAGE);
        CHECK(madvise(anonymous, SIZE, MADV_FREE) == 0, "MADV_FREE: %s", strerror(errno));
    }
}

static char *untouched, *copied, *deleted_private, *deleted_shared, *read_shared, *write_shared,
    *relinked;
static void make_files(void) {
    int fd = make_file("private", 30, O_RDWR);
    untouched = map(SIZE, PROT_READ, MAP_PRIVATE, fd);
    copied = map(SIZE, READ_WRITE, MAP_PRIVATE, fd);
    fill(copied + PAGE, PAGE, 31);
    close(fd);
    fd = make_file("deleted-private", 32, O_RDWR);
    deleted_private = map(SIZE, READ_WRITE, MAP_PRIVATE, fd);
    fill(deleted_private + PAGE, PAGE, 33);
    close(fd);
    NEED(unlink("deleted-private"));
    fd = make_file("deleted-shared", 34, O_RDWR);
    deleted_shared = map(SIZE, READ_WRITE, MAP_SHARED, fd);
    relinked = map(SIZE, PROT_READ, MAP_SHARED, fd);
    close(fd);
    NEED(unlink("deleted-shared"));
    fd = make_file("read-shared", 35, O_RDONLY);
    read_shared = map(SIZE, PROT_READ, MAP_SHARED, fd);
    close(fd);
    fd = make_file("write-shared", 36, O_RDWR);
    write_shared = map(SIZE, READ_WRITE, MAP_SHARED, fd);
    close(fd);
}
static void check_files(void) {
    verify("private file", untouched, SIZE, 30);
    verify("private file, copied page", copied + PAGE, PAGE, 31);
    CHECK(memcmp(copied, untouched, PAGE) == 0, "private file beside the copied page");
    CHECK(memcmp(copied + 2 * PAGE, untouched + 2 * PAGE, SIZE - 2 * PAGE) == 0,
          "after the copied page");
    fill(copied, SIZE, 37);
    verify("a private write shows elsewhere", untouched, SIZE, 30);
    verify("deleted private file", deleted_private, PAGE, 32);
    verify("deleted private file, copied page", deleted_private + PAGE, PAGE, 33);
    verify("deleted shared file", deleted_shared, SIZE, 34);
    fill(deleted_shared, SIZE, 38);
    verify("deleted shared file, its other mapping", relinked, SIZE, 38);
    verify("read-only shared file", read_shared, SIZE, 35);
    verify("writable shared file", write_shared, SIZE, 36);
    fill(write_shared, SIZE, 39);
    file_holds("writable shared file, on disk", "write-shared", 39);
}

static char *shared, *shared_twice, *memfd_open, *memfd_closed, *memfd_sealed;
static int memfd;
static char sealed_flags[160];
static int closed_seals;
/* Of what a mapping shows, by the link that /proc has for those who may: -1 for others. */
static int seals_of(char *memory, size_t size) {
    char path[80];
    snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)memory,
             (long)(memory + size));
    int fd = open(path, O_RDONLY);
    int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
    close(fd);
    return seals;
}
static void make_shared(void) {
    shared = map(SIZE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    fill(shared, SIZE, 40);
    shared_twice = mremap(shared, 0, SIZE, MREMAP_MAYMOVE);
    NEED((intptr_t)shared_twice);
    memfd = memfd_create("kept", MFD_CLOEXEC);
    NEED(ftruncate(memfd, SIZE));
    memfd_open = map(SIZE, READ_WRITE, MAP_SHARED, memfd);
    fill(memfd_open, SIZE, 41);
    int fd = memfd_create("mapped only", MFD_ALLOW_SEALING);
    NEED(ftruncate(fd, SIZE));
    memfd_closed = map(SIZE, READ_WRITE, MAP_SHARED, fd);
    fill(memfd_closed, SIZE, 42);
    NEED(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL));
    close(fd);
    closed_seals = seals_of(memfd_closed, SIZE);
    /* Before Linux 6.7 nothing but a descriptor for reading can be mapped once this seal is set. */
    fd = memfd_create("sealed", MFD_ALLOW_SEALING);
    NEED(ftruncate(fd, SIZE));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = (int)NEED(open(path, O_RDONLY));
    memfd_sealed = map(SIZE, PROT_READ, MAP_SHARED, reader);
    close(reader);
    NEED(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    region_flags(memfd_sealed, sealed_flags, sizeof sealed_flags);
}
static void check_shared(void) {
    verify("shared anonymous", shared, SIZE, 40);
    fill(shared, SIZE, 43);
    verify("shared anonymous, its second mapping", shared_twice, SIZE, 43);
    verify("memfd", memfd_open, SIZE, 41);
    verify("memfd without descriptor", memfd_closed, SIZE, 42);
    int seals = seals_of(memfd_closed, SIZE);
    CHECK(seals == closed_seals, "memfd without descriptor: seals were %d, are %d", closed_seals,
          seals);
    char flags[160];
    region_flags(memfd_sealed, flags, sizeof flags);
    CHECK(strcmp(flags, sealed_flags) == 0, "read-only memfd: VmFlags were %s, are %s",
          sealed_flags, flags);
    CHECK(mprotect(memfd_sealed, SIZE, READ_WRITE) == -1 && errno == EACCES,
          "a read-only memfd becomes writable");
    char page[PAGE];
    fill(page, PAGE, 44);
    CHECK(pwrite(memfd, page, PAGE, 2 * PAGE) == PAGE, "write to memfd: %s", strerror(errno));
    verify("memfd through its descriptor", memfd_open + 2 * PAGE, PAGE, 44);
}

/* Guard pages, which no line of maps shows. Without them (before Linux 6.13) all three are NULL. */
enum { MADV_GUARD_INSTALL_ = 102 };
static char *guarded, *guarded_file, *only_guarded;
static char *with_guard(char *memory) {
    return madvise(memory + 2 * PAGE, PAGE, MADV_GUARD_INSTALL_) == 0 ? memory : NULL;
}
static void make_guards(void) {
    guarded = map(SIZE, READ_WRITE, PRIVATE, -1);
    fill(guarded, SIZE, 45);
    guarded = with_guard(guarded);
    only_guarded = with_guard(map(SIZE, READ_WRITE, PRIVATE | MAP_NORESERVE, -1));
    int fd = make_file("guarded", 46, O_RDWR);
    guarded_file = with_guard(map(SIZE, READ_WRITE, MAP_PRIVATE, fd));
    close(fd);
}
static void is_guarded(const char *what, const char *memory) {
    int pipe_[2];
    NEED(pipe(pipe_));
    CHECK(write(pipe_[1], memory + 2 * PAGE, 1) == -1 && errno == EFAULT,
          "%s: the guard page is accessible", what);
    close(pipe_[0]);
    close(pipe_[1]);
}
static void check_guards(void) {
    static char content[SIZE];
    if (guarded != NULL) {
        fill(content, SIZE, 45);
        CHECK(memcmp(guarded, content, 2 * PAGE) == 0, "below a guard page: content differs");
        CHECK(memcmp(guarded + 3 * PAGE, content + 3 * PAGE, SIZE - 3 * PAGE) == 0,
              "above a guard page: content differs");
        is_guarded("anonymous", guarded);
    }
    if (only_guarded != NULL) {
        is_guarded("nothing but a guard", only_guarded);
        verify_zero("beside a guard page", only_guarded + 3 * PAGE, PAGE);
    }
    if (guarded_file != NULL) {
        verify("before the guard page of a file", guarded_file, PAGE, 46);
        is_guarded("file", guarded_file);
    }
}

static char *low, *high, *terabyte, *growing;
static char *at(uintptr_t address, size_t size) {
    char *memory = mmap((void *)address, size, READ_WRITE, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0);
    return memory == (char *)address ? memory : NULL;
}
static void make_places(void) {
    low = at(0x10000, SIZE);
    high = at(0x7ffffffff000 - SIZE, SIZE); /* taken by the stack where addresses are not random */
    if (low != NULL)
        fill(low, SIZE, 50);
    if (high != NULL)
        fill(high, SIZE, 51);
    terabyte = map(1ul << 40, PROT_NONE, PRIVATE | MAP_NORESERVE, -1);
    NEED(mprotect(terabyte + (1ul << 39), SIZE, READ_WRITE));
    fill(terabyte + (1ul << 39), SIZE, 52);
    /* Far from everything, so that it has room to grow. */
    growing = mmap((void *)0x200000000000, PAGE, READ_WRITE,
                   PRIVATE | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
    NEED((intptr_t)growing);
    fill(growing, PAGE, 53);
}
static void check_places(void) {
    if (low != NULL)
        verify("low address", low, SIZE, 50);
    if (high != NULL)
        verify("highest address", high, SIZE, 51);
    verify("inside a reservation", terabyte + (1ul << 39), SIZE, 52);
    CHECK(mprotect(terabyte, SIZE, READ_WRITE) == 0, "mprotect in the reservation: %s",
          strerror(errno));
    verify_zero("in the reservation", terabyte, SIZE);
    verify("growing region", growing, PAGE, 53);
    for (int i = 1; i <= 20; i++)
        fill(growing - i * PAGE, PAGE, (uint64_t)i);
    for (int i = 1; i <= 20; i++)
        verify("grown region", growing - i * PAGE, PAGE, (uint64_t)i);
}

/* Advice and locks, one region each; `wanted` must show in VmFlags of /proc/self/smaps. */
static struct advice {
    const char *name;
    int advice; /* -1: mlock, -2: mlock2 on fault */
    const char *wanted;
    char *memory;
    bool skipped;
} advices[] = {
    {"MADV_DONTFORK", MADV_DONTFORK, "dc", 0, 0},
    {"MADV_DONTDUMP", MADV_DONTDUMP, "dd", 0, 0},
    {"MADV_WIPEONFORK", MADV_WIPEONFORK, "wf", 0, 0},
    {"MADV_HUGEPAGE", MADV_HUGEPAGE, "hg", 0, 0},
    {"MADV_NOHUGEPAGE", MADV_NOHUGEPAGE, "nh", 0, 0},
    {"MADV_MERGEABLE", MADV_MERGEABLE, "mg", 0, 0},
    {"MADV_RANDOM", MADV_RANDOM, "rr", 0, 0},
    {"MADV_SEQUENTIAL", MADV_SEQUENTIAL, "sr", 0, 0},
    {"mlock", -1, "lo", 0, 0},
    {"MLOCK_ONFAULT", -2, "lo", 0, 0},
};
enum { ADVICES = sizeof advices / sizeof *advices };
static void make_advised(void) {
    for (int i = 0; i < ADVICES; i++) {
        struct advice *row = &advices[i];
        /* A page of another kind between them: neighbours must not merge. */
        row->memory = map(SIZE + PAGE, PROT_NONE, PRIVATE, -1);
        NEED(mprotect(row->memory, SIZE, READ_WRITE));
        fill(row->memory, SIZE, (uint64_t)(60 + i));
        int result = row->advice == -1   ? mlock(row->memory, SIZE)
                     : row->advice == -2 ? mlock2(row->memory, SIZE, MLOCK_ONFAULT)
                                         : madvise(row->memory, SIZE, row->advice);
        row->skipped = result != 0;
    }
    for (int i = 0; i < ADVICES; i++) {
        region_flags(advices[i].memory, flags_before[i], sizeof flags_before[i]);
        if (!advices[i].skipped && strstr(flags_before[i], advices[i].wanted) == NULL)
            fail("%s does not show in VmFlags at once: %s", advices[i].name, flags_before[i]);
    }
}
static void check_advised(void) {
    char flags[160];
    for (int i = 0; i < ADVICES; i++) {
        verify(advices[i].name, advices[i].memory, SIZE, (uint64_t)(60 + i));
        region_flags(advices[i].memory, flags, sizeof flags);
        CHECK(strcmp(flags, flags_before[i]) == 0, "%s: VmFlags were %s, are %s", advices[i].name,
              flags_before[i], flags);
    }
}

int main(int argc, char **argv) {
    eager = argc < 2 || strcmp(argv[1], "lazy") != 0;
    make_anonymous();
    make_files();
    make_shared();
    make_guards();
    make_places();
    make_advised();
    self_take();
    ready();
    await_go();
    self_compare(false);
    check_anonymous();
    check_files();
    check_shared();
    check_guards();
    check_places();
    check_advised();
    finish();
}
