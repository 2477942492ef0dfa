/*
 * Has one thing that no image can carry; argv[1] says which. Checks nothing but that it is left
 * alone: whoever freezes it has to refuse. `gone` has lost its working directory, and is frozen
 * with another.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <asm/ldt.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    SCHED_DEADLINE_ = 6,
    SET_IO_FLUSHER = 57,
    SET_SYSCALL_USER_DISPATCH = 59,
    MPOL_BIND_ = 2
};

/* linux/sched/types.h, which does not go together with sched.h. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static sem_t apart, leave;

static long offered(long result, const char *what) {
    if (result < 0)
        leave_out(what);
    return result;
}

static void secret(void) {
    int fd = (int)offered(syscall(SYS_memfd_secret, 0), "memfd_secret");
    NEED(ftruncate(fd, PAGE));
    NEED((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    close(fd);
}

static void watched(void) {
    char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = (int)offered(syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY), "userfaultfd");
    struct uffdio_api api = {.api = UFFD_API};
    NEED(ioctl(fd, UFFDIO_API, &api));
    struct uffdio_register range = {.range = {(uintptr_t)memory, PAGE},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    NEED(ioctl(fd, UFFDIO_REGISTER, &range));
}

static void stay(void) {
    sem_post(&apart);
    while (sem_wait(&leave) != 0) {
    }
}

/* Until the thread stays. */
static void begin(void *(*run)(void *)) {
    pthread_t thread;
    NEED(-pthread_create(&thread, NULL, run, NULL));
    while (sem_wait(&apart) != 0) {
    }
}

static void *leave_folder(void *unused) {
    NEED(unshare(CLONE_FS));
    stay();
    return unused;
}

static void folder(void) {
    begin(leave_folder);
}

static void deadline(void) {
    struct attributes attributes = {.size = sizeof attributes,
                                    .policy = SCHED_DEADLINE_,
                                    .runtime = 10000000,
                                    .deadline = 30000000,
                                    .period = 30000000};
    offered(syscall(SYS_sched_setattr, 0, &attributes, 0), "SCHED_DEADLINE");
}

/* Its selector lets all calls pass. */
static void dispatched(void) {
    static char selector;
    offered(prctl(SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector), "system call user dispatch");
}

static void flusher(void) {
    offered(prctl(SET_IO_FLUSHER, 1, 0, 0, 0), "PR_SET_IO_FLUSHER");
}

static void *bind_to_first_node(void *unused) {
    unsigned long node = 1;
    offered(syscall(SYS_set_mempolicy, MPOL_BIND_, &node, 64), "set_mempolicy");
    stay();
    return unused;
}

static void bound(void) {
    begin(bind_to_first_node);
}

/* A file that was cut off while it was mapped, once to be read and once not to be touched. */
static void cut(void) {
    int fd = (int)NEED(open("cut", O_RDWR | O_CREAT | O_EXCL, 0600));
    NEED(ftruncate(fd, 3 * PAGE));
    NEED((intptr_t)mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    NEED((intptr_t)mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE, fd, 0));
    NEED(ftruncate(fd, PAGE));
    close(fd);
}

/* As programs have them that go over to 32-bit code. */
static void segments(void) {
    unsigned short data = 0x2b;
    __asm__ volatile("mov %0, %%es" : : "r"(data));
}

static void local_descriptors(void) {
    struct user_desc segment = {.limit = PAGE - 1, .seg_32bit = 1, .useable = 1};
    offered(syscall(SYS_modify_ldt, 1, &segment, sizeof segment), "modify_ldt");
}

static int wait_beside(void *unused) {
    (void)unused;
    NEED(prctl(PR_SET_PDEATHSIG, SIGKILL));
    sem_post(&apart);
    return pause();
}

static void shares_memory(void) {
    static char stack[4 * PAGE] __attribute__((aligned(16)));
    NEED(clone(wait_beside, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));
    while (sem_wait(&apart) != 0) {
    }
}

/* A child that has what its parent has, until that ends. */
static void fork_beside(void) {
    pid_t child = fork();
    NEED(child);
    if (child != 0)
        return;
    NEED(prctl(PR_SET_PDEATHSIG, SIGKILL));
    for (;;)
        pause();
}

static void inherited_memory(void) {
    NEED((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    fork_beside();
}

static void inherited_memfd(void) {
    NEED(memfd_create("inherited", 0));
    fork_beside();
}

static void inherited_objects(void) {
    NEED(eventfd(0, 0));
    NEED(epoll_create1(0));
    NEED(timerfd_create(CLOCK_MONOTONIC, 0));
    fork_beside();
}

static void map_new_file(const char *name) {
    int fd = (int)NEED(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
    NEED(ftruncate(fd, PAGE));
    NEED((intptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    close(fd);
}

static void linked(void) {
    map_new_file("first");
    NEED(link("first", "second"));
    NEED(unlink("first"));
}

/* The kernel shows a line feed so. */
static void misnamed(void) {
    map_new_file("a\\012b");
}

static void nothing(void) {}

static void deleted(void) {
    NEED(mkdir("gone", 0700));
    NEED(chdir("gone"));
    NEED(rmdir("../gone"));
}

static const struct {
    const char *name;
    void (*make)(void);
} rows[] = {{"secret", secret},
            {"watched", watched},
            {"folder", folder},
            {"deadline", deadline},
            {"dispatched", dispatched},
            {"flusher", flusher},
            {"bound", bound},
            {"cut", cut},
            {"segments", segments},
            {"local descriptors", local_descriptors},
            {"shared memory", shares_memory},
            {"inherited memory", inherited_memory},
            {"inherited memfd", inherited_memfd},
            {"inherited objects", inherited_objects},
            {"linked", linked},
            {"misnamed", misnamed},
            {"nothing", nothing},
            {"gone", deleted}};

int main(int argc, char **argv) {
    CHECK(argc > 1, "which?");
    sem_init(&apart, 0, 0);
    sem_init(&leave, 0, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, argv[1]) == 0)
            rows[i].make();
    ready();
    await_go();
    char path[PATH_MAX];
    if (argc > 2)
        CHECK(getcwd(path, sizeof path) != NULL && strcmp(path, argv[2]) == 0, "it is in %s", path);
    finish();
}
