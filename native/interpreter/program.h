/*
 * The binary form of a thaw program. src/thaw/assembler.ts writes these structures, the
 * interpreter executes them, src/thaw/disassembler.ts reads them back. All addresses are
 * absolute: the planner knows where the thaw segments will lie.
 */
#ifndef PROC2ELF_PROGRAM_H
#define PROC2ELF_PROGRAM_H

#include <stdint.h>

#define THAW_MAGIC 0x5741485446324550ull /* "PE2FTHAW" */
#define THAW_VERSION 3

/* Fixed offsets from the start of the blob. */
#define BLOB_THAW_ENTRY 0x00     /* e_entry: rsp is the stack as execve(2) leaves it */
#define BLOB_QUERY_ENTRY 0x10    /* rdi: struct query */
#define BLOB_HEADER_ADDRESS 0x40 /* u64, patched by the planner: address of struct thaw_header */
#define BLOB_IMAGE_SIZE 0x48     /* u64, patched when it is known: size of the image's file */

/* Bits of thaw_header.flags: set by options and built-ins, tested by op.when and op.unless. */
enum {
    FLAG_VERBOSE = 1 << 0,
    FLAG_CHECK = 1 << 1, /* --check: failures are printed and counted, nothing is started */
    FLAG_LAZY = 1 << 2,
    FLAG_PID_SAME = 1 << 3,     /* --pid=same: failing to get the ids is an error */
    FLAG_PID_NEW = 1 << 4,      /* --pid=new: do not try */
    FLAG_NEW_IDS = 1 << 5,      /* found out: process and threads run under new ids */
    FLAG_FOREIGN_VDSO = 1 << 6, /* found out: this kernel's vDSO differs from the frozen one */
    FLAG_TIME_NAMESPACE =
        1 << 7,             /* found out: the monotonic clock was behind, a namespace fixes it */
    FLAG_FAILED = 1 << 8,   /* a step failed under --check */
    FLAG_SCRATCH = 1 << 9,  /* --scratch: files of the image are made in a folder */
    FLAG_PTS_NEW = 1 << 10, /* --pts=new: pseudoterminals take any number */
    FLAG_DATAGRAMS_DROP = 1 << 11, /* --datagrams=drop: what sockets had received is left out */
    FLAG_EVENTS_DROP = 1 << 12,    /* --events=drop: what inotify had told is left out */
};

enum {
    OP_SYSCALL = 1, /* number, args */
    OP_READ = 2,    /* pread until full: fd, address, size, offset */
    OP_TEST = 3,    /* address, width in bytes (1, 2, 4, 8), mask: value = load & mask */
    OP_COMPARE = 4, /* address, address, size: value = 0 if equal, else 1 */
    OP_STORE = 5,   /* address, width, value */
    OP_BUILTIN = 6, /* number is BUILTIN_* */
    OP_SPAWN = 7, /* program index, wanted tid, stack top: a thread of this process; value = tid */
    OP_BARRIER = 8, /* address of u32 that starts as 0, number of parties */
    OP_JUMP = 9,    /* continues at op.jump */
    OP_EXIT = 10,   /* exit_group(args[0]) */
};

enum {
    CHECK_NONE = 0,    /* any result will do */
    CHECK_OK = 1,      /* an errno ends the thaw, unless it is in op.tolerated */
    CHECK_EQUAL = 2,   /* value must equal op.expected */
    CHECK_ATLEAST = 3, /* value must be >= op.expected, signed */
};

enum {
    BUILTIN_XCR0 = 1, /* mask; value: those bits of XCR0; 3 (x87, SSE) is XCR0 without OSXSAVE */
    BUILTIN_TIME_NAMESPACE = 2, /* frozen CLOCK_MONOTONIC ns, frozen CLOCK_BOOTTIME ns */
    BUILTIN_BECOME = 3,     /* wanted pid, address of i64 for why not: see docs/thaw.md, "ids" */
    BUILTIN_PARK_VDSO = 4,  /* parking address, size: moves the kernel's [vvar*] and [vdso] there */
    BUILTIN_PLACE_VDSO = 5, /* address of struct vdso_plan */
    BUILTIN_CONVERT_XSTATE = 6, /* address of struct xstate_plan */
    BUILTIN_FIX_TID = 7,        /* address of tid word, old tid, fs base: C libraries' cached tid */
    BUILTIN_TIMER_CREATE = 8,   /* clock, address of struct sigevent, wanted id */
    BUILTIN_RESUME = 9,       /* signal frame, gate (u32): last act of a thread, not the leader's */
    BUILTIN_FINISH = 10,      /* address of struct finish_plan: last act of the leader */
    BUILTIN_OPEN_EXECFN = 11, /* open flags: opens AT_EXECFN; value: the descriptor */
    BUILTIN_NOTE = 12,        /* address of a string: one line on stderr */
    BUILTIN_RAISE_LIMIT =
        13,                 /* resource, hard limit wanted; value: the soft limit, at most 2^63-1 */
    BUILTIN_SET_LIMIT = 14, /* resource, soft limit, hard limit: as far as permitted */
    BUILTIN_SAY_IDS = 15,   /* wanted pid, why it was not to be had: one line on stderr */
    BUILTIN_ADVANCE_RING = 16, /* context of io_setup(2), descriptor that can be written to, events,
                                  how many of them stay unread; value: the ring's tail */
    BUILTIN_ADVANCE_URING = 17, /* address of struct uring_plan */
    BUILTIN_OWN_FOLDER = 18,    /* address of "4242/task/4243", as /proc/thread-self tells, of which
                                   "/proc/4243" is made; value: the address of that */
};

/* One operation. */
struct op {
    uint16_t code;
    uint16_t number;
    uint8_t check;
    uint8_t indirect; /* bit i: args[i] is the address of a u64 that holds the operand */
    uint16_t reserved;
    uint32_t when;   /* runs only if all these flags are set */
    uint32_t unless; /* skipped if any of these flags is set */
    uint64_t args[6];
    uint64_t result; /* address of a u64 that takes the value, or 0 */
    int64_t expected;
    int16_t tolerated[4]; /* errnos or TOLERATE_ANY, 0 ends the list: on one, continue at jump */
    uint32_t jump;        /* index of an op in this program plus 1; 0: the next op. Also where a
                             CHECK_EQUAL or CHECK_ATLEAST that does not hold goes on, if not 0 */
    uint32_t reserved2;
    uint64_t label; /* address of a string, "cannot reopen /srv/log (descriptor 3)", or 0 */
    uint64_t
        reason;    /* why, where the failure has no errno: "the file is shorter than ..." , or 0 */
    uint64_t text; /* the op as strace would print it, for --verbose and inspect --program, or 0 */
    uint64_t reserved3;
};

#define TOLERATE_ANY -1

struct program {
    uint64_t ops;
    uint32_t count;
    uint32_t reserved;
    uint64_t name; /* for listings: "main", "thread 4242" */
};

/* A command line option of the image. Exact match of the argument. */
struct option {
    uint64_t name;
    uint32_t set;
    uint32_t clear;
    uint32_t program; /* index plus 1 of a program to run instead of program 0; 0: none */
    uint32_t reserved;
    uint64_t
        value; /* address of a u64 that takes the address of the next argument; 0: takes none */
};

struct thaw_header {
    uint64_t magic;
    uint32_t version;
    uint32_t op_size;
    uint64_t programs; /* program 0 is the main thaw program */
    uint32_t program_count;
    uint32_t usage_program; /* index: run on an unknown argument (prints usage, exits 2) */
    uint64_t options;
    uint32_t option_count;
    uint32_t flags;
    uint64_t stack_top;    /* of the interpreter's own stack, used from the start: 32 KiB at least;
                              those of OP_SPAWN take 8 KiB */
    uint64_t execfn;       /* filled in at start: AT_EXECFN */
    uint64_t sysinfo_ehdr; /* filled in at start: AT_SYSINFO_EHDR */
    uint64_t pid;          /* filled in: getpid() of the process that thaws; renewed by BECOME */
    uint64_t messages;     /* address of a u64 with the descriptor to print on; 0: standard error */
    uint64_t parked[3];    /* filled in by PARK_VDSO: start, start of the vDSO's text, end */
    char name[64];         /* filled in at start: basename of argv[0], for messages */
    uint32_t undo_program; /* index plus 1: runs when the thaw fails; 0: none */
    uint32_t reserved;
};

/* The query: what a process tells about itself. Lies in the scratch mapping of the target. */
struct query {
    uint64_t ops;
    uint32_t count;
    uint32_t end;       /* QUERY_END_* */
    uint64_t frame;     /* rsp for rt_sigreturn: points to struct ucontext (uc_flags) */
    uint64_t registers; /* for QUERY_END_JUMP: struct user_regs_struct to load, but rcx and r11 */
    uint64_t mask;      /* for QUERY_END_JUMP: the signal mask to set before */
};
enum { QUERY_END_SIGRETURN = 0, QUERY_END_JUMP = 1 };
/* The number of a system call that no kernel has: by it the tracer knows that a query is done. */
#define QUERY_DONE_SYSCALL 0x70326500

/* Places the vDSO. The kernel's own lies where PARK_VDSO put it. */
struct vdso_plan {
    uint64_t address; /* of the frozen [vdso] */
    uint64_t size;
    uint64_t image; /* address of its captured bytes */
    uint64_t vvar;  /* lowest address of the frozen [vvar*] mappings that lie just below, or 0 */
    uint64_t vvar_size;
    uint64_t entries; /* struct vdso_entry[] */
    uint64_t entry_count;
};
struct vdso_entry {
    uint64_t name;   /* address of a string: __vdso_clock_gettime */
    uint32_t offset; /* in the frozen vDSO */
    int32_t
        number; /* system call to fall back on where this kernel's vDSO lacks the entry; -1 none */
};

/* Turns a captured XSAVE area (standard form, offsets of the frozen processor) into this one's. */
struct xstate_plan {
    uint64_t area;       /* 64-byte aligned, in the signal frame; converted in place */
    uint32_t size;       /* captured bytes */
    uint32_t capacity;   /* bytes that may be used at area, 4 for FP_XSTATE_MAGIC2 included */
    uint64_t components; /* struct xstate_component[64]: where each lies in the captured area */
};
struct xstate_component {
    uint32_t offset;
    uint32_t size; /* 0: the frozen processor has no such component */
};

/* Brings the counters of a new io_uring to where they were. Its memory is mapped; afterwards it is
 * to be filled with what was in it. */
struct uring_plan {
    uint64_t fd;
    uint64_t rings;      /* address of the rings */
    uint64_t entries;    /* address of the entries that are submitted */
    uint64_t entry_size; /* bytes of one */
    uint64_t has_array;  /* 0: IORING_SETUP_NO_SQARRAY */
    uint64_t deferred;   /* completions by others come only when the ring's owner asks for them */
    uint32_t sq_head, sq_tail, array, cq_head, cq_tail; /* offsets in the rings */
    uint32_t sq_count, cq_count;                        /* how many there is room for */
    uint32_t taken;  /* entries that the kernel had taken, modulo 2^32 */
    uint32_t told;   /* completions that it had told */
    uint32_t unread; /* of which the program had not taken so many */
    uint32_t silent; /* 1: an entry without completion was among them */
    uint32_t reserved;
};

/*
 * The last act of the leader. The page at `page`, writable until then, is made from `template`; its
 * code runs last.
 * After it only that mapping is left of everything between `unmap[]` pairs.
 */
struct finish_plan {
    uint64_t page;      /* where the trampoline lies */
    uint64_t page_size; /* its size in bytes, a multiple of 4096 */
    uint64_t template;  /* bytes to copy there, template_size of them; begins with trampoline magic
                         */
    uint64_t template_size;
    uint64_t code_offset; /* in the page: where FINISH may put its own code (at least 256 bytes) */
    uint64_t
        frame_offset;    /* in the page: the leader's frame goes here (16 mod 64 is kept aligned) */
    uint64_t frame;      /* address of the leader's prepared frame: struct ucontext ... xstate */
    uint64_t frame_size; /* bytes to copy; pointers in it are moved along */
    uint64_t unmap;      /* address of pairs {start, size}: thaw segments, parking, staging */
    uint64_t unmap_count; /* at most 8 */
    uint64_t dumpable;    /* value for PR_SET_DUMPABLE, set last */
    uint64_t threads;     /* address of u64[]: cells with the tids of the other threads */
    uint64_t thread_count;
    uint64_t gate;  /* address of u32: futex on which the other threads wait in RESUME */
    uint64_t again; /* address of u64[]: 1 for each of the other threads that was frozen in a system
                       call, which it makes again */
};

#endif
