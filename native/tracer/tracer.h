/*
 * The parts of the tracer. Between two requests every thread of the target stands in a
 * PTRACE_EVENT_STOP inside the kernel's get_signal(): from there a detach lets the kernel's own
 * restart logic act on the registers, and no instruction of the target runs in between.
 */
#ifndef PROC2ELF_TRACER_H
#define PROC2ELF_TRACER_H

#include "protocol.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/user.h>

#define MAX_XSTATE 65536

enum condition {
    RUNNING, /* or not yet known to have stopped */
    STOPPED, /* `status` says how */
    GONE,
};

struct thread {
    pid_t tid;
    enum condition condition;
    int status;                       /* of the last stop, from waitpid(2) */
    bool adopted;                     /* the kernel attached it: PTRACE_O_TRACECLONE */
    bool group_stopped;               /* it was found in a group stop */
    struct user_regs_struct found;    /* registers as found */
    struct user_regs_struct released; /* registers to go on with */
    bool facts_read;                  /* the next two are valid */
    uint64_t seccomp;
    uint64_t caught;
    bool noted;   /* the two above are of this stop */
    bool changed; /* the thread's registers may differ from `released` */

    /* Once code was injected (inject.c): what has to be put back. */
    bool engaged;
    uint64_t mask;    /* its signal mask */
    uint64_t blocked; /* the mask while code is injected */
    int awaited;      /* the signal by which a query says that it is done, or 0 */
    void *xstate;
    size_t xstate_size;
    uint64_t rseq_cs; /* address of the cell of its restartable sequence, or 0 */
    uint64_t rseq_value;
    bool dispatches; /* it has system call user dispatch, switched off meanwhile */
    uint64_t dispatch[4];
};

/* A mapping of ours in the target, to be removed by a call at `gadget` in the thread `tid`. */
struct scratch {
    pid_t tid;
    uint64_t gadget;
    uint64_t address;
    uint64_t size;
};
#define MAX_SCRATCH 16

/* Where net.c spreads a net in the target; restorer 0: nowhere. */
struct net {
    uint64_t restorer;  /* code that calls rt_sigreturn(2) at once */
    uint64_t low, high; /* [stack] */
    pid_t tid;
    long call; /* of that thread, where it shows as restart_syscall(2); or -1 */
};

struct target {
    pid_t pid; /* 0: none */
    struct thread **threads;
    size_t count;

    struct scratch scratch[MAX_SCRATCH];
    size_t scratches;
    struct net net;
    bool masks_read;
    uint64_t blocked; /* what any thread blocks, once read */
};

extern struct target target;

/* threads.c: the table of threads. */
struct thread *thread_find(pid_t tid);
struct thread *thread_ensure(pid_t tid); /* adds it if need be; null: no memory */
void threads_forget(void);
char thread_state(pid_t tid);     /* as in /proc/PID/stat; 0: no thread of this process */
bool thread_is_worker(pid_t tid); /* the kernel's own, of an io_uring */
bool thread_is_dead(pid_t tid);   /* a zombie, or no thread of this process */

/* stops.c: waiting for threads to stop. */
typedef uint64_t deadline; /* CLOCK_MONOTONIC, milliseconds */
deadline in_milliseconds(unsigned milliseconds);
void stops_init(void);
void collect_stops(void); /* takes note of all that waitpid(2) tells */
bool nap(deadline end);   /* until something may have changed; false: too late */
int await_stop(struct thread *, deadline end); /* 0, ESRCH (gone), ETIMEDOUT */
void await_shortly(struct thread *);           /* a moment, in which most threads stop */
void with_stops_collected(bool on);            /* meanwhile a signal handler takes note */
bool is_event_stop(const struct thread *);

/* seize.c, release.c */
#define SEIZE_OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)
int seize(pid_t pid);
int release(int how, bool *attached); /* attached: threads are left that only our end lets go */

/* results.c: what a call that was interrupted by our stop is to return. */
void note_registers(struct thread *, const struct user_regs_struct *);

/* advance.c: letting one thread go on a little. */
enum stop { STOP_EVENT, STOP_SYSCALL, STOP_SIGNAL, STOP_FAULT, STOP_FAILED };
struct advance {
    enum stop stop;
    int error;      /* of STOP_FAILED */
    siginfo_t info; /* of STOP_FAULT */
};
struct advance advance(struct thread *, int request, deadline end);
int park(struct thread *);

/* scratch.c */
int scratch_note(pid_t tid, uint64_t gadget, uint64_t address, uint64_t size);
void scratch_forget(uint64_t address);
int scratch_remove(void);

/*
 * engage.c: making a thread fit for injection, and undoing that. Its signals are blocked only once
 * its registers lead into a net or a query, which set the mask back if we die.
 */
int engage(struct thread *);
/*
 * struct ptrace_sud_config; whether it is on. Emulators have calls from outside their own code
 * turned into SIGSYS. Linux before 6.4 does not tell: false.
 */
bool read_dispatch(pid_t tid, uint64_t dispatch[4]);
int block_signals(struct thread *);
void disengage(struct thread *);
/*
 * Everything as it was found, and the registers to go on with. Between two requests every thread
 * stands like that: if this program dies, the kernel lets the target go as if nothing had been.
 */
int put_back(struct thread *);
/* The vector registers as they are now are those to be put back. */
int keep_xstate(struct thread *);

/* net.c */
struct spread {
    uint64_t address;
    uint64_t size; /* 0: there is none */
    uint8_t former[MAX_XSTATE + 1024];
};
/* What rsp has to be for a call at a gadget with a net; 0: the call has to do without. */
uint64_t net_spread(const struct thread *, struct spread *);
void net_gather(struct spread *);

/* results.c */
bool is_restart(long result); /* one of the kernel's ERESTARTSYS to ERESTART_RESTARTBLOCK */

/* inject.c, step.c. On EFAULT `fault` is filled in. */
int inject_syscall(struct thread *, uint64_t gadget, uint64_t number, const uint64_t args[6],
                   int64_t *result, struct fault *fault);
/* signals: the code ends with a signal to itself if rsi holds a number (native/interpreter/query.c)
 */
int inject_run(struct thread *, uint64_t rip, uint64_t rsp, uint64_t rdi, bool signals,
               struct fault *fault);
int step_out(struct thread *, uint64_t start, uint64_t end, uint64_t limit, bool *out);
void note_fault(struct thread *, const siginfo_t *info, struct fault *fault);

/*
 * keep.c: TCP connections of the target that the image is to have. Each returns 0 or an errno.
 */
int keep_hold(const void *removal, size_t size); /* what removes the hold, unless the target ends */
int keep_look(int fd); /* this one into repair mode, and the one before out of it; -1: none */
int keep_look_passed(int fd); /* the same of one on its way in a socket; takes our duplicate */
int keep_seal(void);          /* all into repair mode: their end is then silent */
void keep_leave(void);        /* the target has ended, or is left stopped: the hold stays */
bool keep_undo(void); /* the target goes on: no repair mode, no hold; whether there was any */

/* state.c */
size_t read_xstate(pid_t tid, void *buffer, size_t size); /* 0: failed */
int read_state(struct thread *, struct state *state, void *xstate, uint8_t **pending);
int read_pending(pid_t tid, bool shared, uint8_t **siginfos, uint32_t *count);

/* status.c: fields of /proc/PID/task/TID/status. */
bool status_field(pid_t tid, const char *name, int base, uint64_t *value);
bool thread_is_ours(pid_t tid); /* traced by this program */
/* Read once: they do not change while the thread is held. */
bool has_seccomp_filter(struct thread *);
uint64_t caught_signals(struct thread *);

#endif
