/*
 * What the command line and the tracer say to each other over a stream socket: a header, then
 * `length` bytes. Every request gets one reply with the same verb and tid. src/native/tracer.ts
 * is the other side; both run on the same machine, so numbers are in its byte order.
 */
#ifndef PROC2ELF_PROTOCOL_H
#define PROC2ELF_PROTOCOL_H

#include <stdint.h>

struct header {
    uint32_t verb;
    int32_t tid;
    uint32_t length;
    int32_t error; /* of a reply: 0 or an errno */
};

enum {
    VERB_SEIZE = 1,          /* tid: process. Reply: int32_t tids[], the leader first */
    VERB_STATE = 2,          /* Reply: struct state, xstate, siginfos */
    VERB_SHARED_PENDING = 3, /* Reply: siginfos */
    VERB_STEP_OUT = 4,       /* uint64_t start, end, limit. Reply: uint64_t whether it is out */
    VERB_SYSCALL = 5,        /* uint64_t gadget, number, args[6]. Reply: int64_t result */
    VERB_SCRATCH = 6,        /* uint64_t gadget, address, size */
    VERB_RUN = 7,            /* uint64_t rip, rsp, rdi, signals: the code may end by a signal */
    VERB_SET_RESULT = 8,     /* uint64_t rax */
    VERB_RELEASE = 9,        /* uint64_t RELEASE_* */
    VERB_SET_TIMEOUT = 10,   /* uint64_t r10: the timeout of epoll_wait */
    VERB_SET_NET = 11,       /* uint64_t restorer, low, high, call: see net.c */
    VERB_HOLD = 12,          /* messages that remove the hold on the target's connections: keep.c */
    VERB_REPAIR = 13,        /* int64_t the target's descriptor of a connection to look at, or -1 */
    VERB_REPAIR_PASSED = 14, /* the same of one without a number, which comes with the request */
};

enum { RELEASE_RUN = 0, RELEASE_STOP = 1, RELEASE_KILL = 2 };

/* No request carries more than this. */
#define MAX_WORDS 32

/* Of a failed SYSCALL, RUN or STEP_OUT with EFAULT: what the injected code did. */
struct fault {
    uint64_t signal;
    uint64_t rip;
    uint64_t address;
};

#define REGISTERS_SIZE 216 /* struct user_regs_struct */
#define SIGINFO_SIZE 128

struct state {
    uint8_t registers[REGISTERS_SIZE];
    uint64_t mask;
    uint64_t rseq_address; /* 0: none */
    uint32_t rseq_length;
    uint32_t rseq_signature;
    uint32_t group_stopped;
    uint32_t xstate_size;
    uint32_t pending;    /* siginfos after the xstate */
    uint32_t dispatches; /* it has system call user dispatch; Linux 6.4 tells */
};

/* The scratch code's way to say that it is done; as in native/interpreter/program.h. */
#define QUERY_DONE_SYSCALL 0x70326500

#endif
