/* The interpreter of thaw programs: what its files share. */
#ifndef PROC2ELF_INTERPRETER_H
#define PROC2ELF_INTERPRETER_H

#include "arch/x86_64.h"
#include "program.h"

enum {
    SYS_write = 1,
    SYS_close = 3,
    SYS_lseek = 8,
    SYS_mmap = 9,
    SYS_mprotect = 10,
    SYS_munmap = 11,
    SYS_rt_sigaction = 13,
    SYS_rt_sigprocmask = 14,
    SYS_rt_sigreturn = 15,
    SYS_pread64 = 17,
    SYS_sched_yield = 24,
    SYS_mremap = 25,
    SYS_mincore = 27,
    SYS_nanosleep = 35,
    SYS_getpid = 39,
    SYS_clone = 56,
    SYS_exit = 60,
    SYS_wait4 = 61,
    SYS_kill = 62,
    SYS_ptrace = 101,
    SYS_rt_sigtimedwait = 128,
    SYS_rt_sigqueueinfo = 129,
    SYS_getpgid = 121,
    SYS_prctl = 157,
    SYS_arch_prctl = 158,
    SYS_gettid = 186,
    SYS_futex = 202,
    SYS_sched_setaffinity = 203,
    SYS_sched_getaffinity = 204,
    SYS_io_submit = 209,
    SYS_timer_create = 222,
    SYS_timer_delete = 226,
    SYS_tgkill = 234,
    SYS_clock_gettime = 228,
    SYS_exit_group = 231,
    SYS_openat = 257,
    SYS_unshare = 272,
    SYS_read = 0,
    SYS_prlimit64 = 302,
    SYS_process_vm_readv = 310,
    SYS_process_vm_writev = 311,
    SYS_clone3 = 435,
    SYS_io_uring_setup = 425,
    SYS_io_uring_enter = 426,
    SYS_close_range = 436,
};

enum {
    EPERM = 1,
    ENOENT = 2,
    ESRCH = 3,
    EINTR = 4,
    EIO = 5,
    EAGAIN = 11,
    ENOMEM = 12,
    EFAULT = 14,
    EEXIST = 17,
    EINVAL = 22,
    ENOSPC = 28,
    ENOSYS = 38,
    EOPNOTSUPP = 95,
};

enum { AT_FDCWD = -100, O_RDONLY = 0, O_CLOEXEC = 02000000 };
enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20 };
enum { PR_SET_DUMPABLE = 4 };
enum { SIG_BLOCK = 0, SIG_SETMASK = 2, SIGCHLD = 17 };
enum { CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400 };

/* struct clone_args of linux/sched.h, with set_tid (Linux 5.5). */
struct clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size;
};

#define CALL0(n) syscall6(n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) syscall6(n, (uint64_t)(a), 0, 0, 0, 0, 0)
#define CALL2(n, a, b) syscall6(n, (uint64_t)(a), (uint64_t)(b), 0, 0, 0, 0)
#define CALL3(n, a, b, c) syscall6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0, 0)
#define CALL4(n, a, b, c, d)                                                                       \
    syscall6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0, 0)
#define CALL5(n, a, b, c, d, e)                                                                    \
    syscall6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), 0)
#define CALL6(n, a, b, c, d, e, f)                                                                 \
    syscall6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e),         \
             (uint64_t)(f))

#define EXIT_CANNOT_THAW 125
#define PAGE 4096ull

static inline int failed(int64_t result) {
    return result < 0 && result > -4096;
}

/* stack.c: the stack as execve(2) leaves it. */
enum { AT_NULL = 0, AT_EXECFN = 31, AT_SYSINFO_EHDR = 33 };
uint64_t auxiliary(const uint64_t *stack, uint64_t type); /* 0 if it is not there */
const char *base_name(const char *path);

/* memory.c */
void copy(void *to, const void *from, uint64_t size);
void fill(void *to, int byte, uint64_t size);
int same(const void *a, const void *b, uint64_t size);
uint64_t length(const char *text);
int equal(const char *a, const char *b);
int64_t read_self(void *to, uint64_t from, uint64_t size);
int64_t write_self(uint64_t to, const void *from, uint64_t size);

/* errno.c */
const char *errno_name(int64_t error);

/* print.c: one line, written by one write(2). A longer one is cut: stacks are small. */
struct line {
    uint32_t used;
    char text[4000];
};
void line_start(struct line *line, const char *name); /* "<name>: " */
void line_text(struct line *line, const char *text);
void line_number(struct line *line, int64_t value);
void line_hex(struct line *line, uint64_t value);
void line_error(struct line *line, int64_t result);
void line_refusal(struct line *line, int64_t result); /* why an id was not given: " is taken: " */
void line_end(struct line *line);
void line_write(struct line *line, uint64_t fd);
/* Whether an errno of clone3(2) says that the wanted id is not given, rather than no task at all.
 */
int is_about_ids(int64_t result);

/* clock.c: CLOCK_*, in nanoseconds */
enum { CLOCK_MONOTONIC = 1 };
int64_t now(int clock);

/* ids.c */
int is_given_back(int64_t result, int32_t id, int64_t since);

/* run.c */
struct thaw_header *header(void);
void run(uint32_t program);
void operands(const struct op *op, uint64_t values[6]);
int has_flag(uint32_t flag);
void set_flag(uint32_t flag);
/* Prints what failed and ends the process, or under --check notes it and returns. */
void fail(const char *label, const char *reason, int64_t result);
__attribute__((noreturn)) void quit(int status);

/* task.c */
int64_t spawn(uint64_t program, uint64_t tid, uint64_t stack_top);
void barrier(uint32_t *arrived, uint32_t parties);
void futex_wait(uint32_t *word, uint32_t value);
void futex_wake(uint32_t *word);
int64_t fix_tid(uint64_t address, uint32_t old, uint64_t fs_base);
int64_t create_timer(uint64_t clock, uint64_t event, int32_t id);
int64_t own_folder(char *link);

/* become.c, clock.c, vdso.c, xstate.c, limits.c, aio.c, uring.c, finish.c: the built-ins. */
int64_t become(int64_t pid, int64_t *refusal);
int64_t say_ids(int64_t wanted, int64_t refusal);
int64_t time_namespace(int64_t monotonic, int64_t boottime);
int64_t park_vdso(uint64_t address, uint64_t size);
int64_t place_vdso(const struct vdso_plan *plan);
int64_t convert_xstate(const struct xstate_plan *plan);
uint64_t xcr0(void);
int64_t raise_limit(uint64_t resource, uint64_t hard);
int64_t set_limit(uint64_t resource, uint64_t soft, uint64_t hard);
int64_t advance_ring(uint64_t address, uint64_t ready, uint64_t count, uint64_t unread);
int64_t advance_uring(const struct uring_plan *plan);
void touch_tiles(uint64_t frame);
__attribute__((noreturn)) void resume(uint64_t frame, uint32_t *gate);
int64_t finish(const struct finish_plan *plan);

/* settle.c */
void settle(int64_t tid);

#endif
