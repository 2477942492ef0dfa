/*
 * Ids. The process id is part of a program's state, so the old one is taken where it is free and
 * permitted: by a child that is made with it. The first process then stays as a supervisor: it
 * passes signals on and mirrors how the child stops, continues and ends.
 */
#include "interpreter.h"

enum {
    SIGQUIT = 3,
    SIGCONT = 18,
    SIGSTOP = 19,
    SIGTSTP = 20,
    SIGTTOU = 22,
    SIGWINCH = 28,
    SI_KERNEL = 0x80,
    SI_QUEUE = -1,
    WNOHANG = 1,
    WUNTRACED = 2,
    WCONTINUED = 8,
    CONTINUED = 0xffff,
    STOPPED = 0x7f,
    RLIMIT_CORE = 4,
    MOST_DESCRIPTORS = 65536,
};

struct siginfo {
    int32_t signo, error, code, pad;
    uint64_t fields[14];
};

struct child {
    int64_t pid;
    int stopped;
    int suspended; /* asked to stop as a job is, by us or the terminal */
};

static int suspends(int signal) {
    return signal >= SIGTSTP && signal <= SIGTTOU;
}

static void default_action(int signal) {
    uint64_t action[4] = {0, 0, 0, 0};
    CALL4(SYS_rt_sigaction, signal, action, 0, 8);
}

static void signal_self(int signal) {
    CALL2(SYS_kill, CALL0(SYS_getpid), signal);
}

/* Dies as the child did, without a core dump of our own. */
__attribute__((noreturn)) static void die_of(int signal) {
    uint64_t none = 0, limit[2] = {0, 0};
    CALL4(SYS_prlimit64, 0, RLIMIT_CORE, limit, 0);
    /* A core_pattern that names a program goes by this alone. */
    CALL5(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    default_action(signal);
    signal_self(signal);
    CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
    quit(128 + signal);
}

/*
 * A shell wants to see its job stop. Whoever stops the child alone, by SIGSTOP, will continue it
 * alone, and nothing would then wake us; but a program may answer the terminal's ^Z by sending
 * itself that, too.
 */
static void stop_with(const struct child *child, int signal) {
    if (signal != SIGSTOP || child->suspended)
        signal_self(SIGSTOP);
}

static void mirror(struct child *child) {
    for (;;) {
        int32_t status;
        int64_t pid = CALL4(SYS_wait4, child->pid, &status, WNOHANG | WUNTRACED | WCONTINUED, 0);
        if (pid != child->pid)
            return;
        child->stopped = (status & 0xff) == STOPPED;
        if (child->stopped)
            stop_with(child, status >> 8 & 0xff);
        else if (status == CONTINUED)
            child->suspended = 0;
        else if (status & 0x7f)
            die_of(status & 0x7f);
        else
            quit(status >> 8 & 0xff);
    }
}

/* The terminal sends these to its whole foreground group: the child, if a member, got its own. */
static int has_got_it(const struct child *child, const struct siginfo *info) {
    int of_terminal = info->signo <= SIGQUIT || info->signo == SIGWINCH || suspends(info->signo);
    return info->code == SI_KERNEL && of_terminal &&
           CALL1(SYS_getpgid, child->pid) == CALL1(SYS_getpgid, 0);
}

static void note(struct child *child, int signal) {
    if (signal == SIGCONT)
        child->suspended = 0;
    if (!suspends(signal))
        return;
    child->suspended = 1;
    if (child->stopped)
        stop_with(child, signal);
}

static void pass_on(const struct child *child, struct siginfo *info) {
    if (has_got_it(child, info) || (child->stopped && suspends(info->signo)))
        return;
    /* A shell continues the group: whatever runs again needs no second SIGCONT. */
    if (info->signo == SIGCONT && !child->stopped)
        return;
    /* A queued signal keeps its value; what the kernel alone may send is sent anew. */
    if (info->code == SI_QUEUE)
        CALL3(SYS_rt_sigqueueinfo, child->pid, info->signo, info);
    else
        CALL2(SYS_kill, child->pid, info->signo);
}

/* Readers of a pipe must see its end when the child closes it. */
static void close_all(void) {
    if (failed(CALL3(SYS_close_range, 0, ~0u, 0)))
        for (int fd = 0; fd < MOST_DESCRIPTORS; fd++) /* before Linux 5.9 */
            CALL1(SYS_close, fd);
}

__attribute__((noreturn)) static void supervise(int64_t pid) {
    struct child child = {pid, 0, 0};
    uint64_t all = ~0ull;
    close_all();
    for (;;) {
        struct siginfo info;
        int64_t signal = CALL4(SYS_rt_sigtimedwait, &all, &info, 0, 8);
        if (signal == SIGCHLD || signal == SIGCONT)
            mirror(&child);
        if (signal > 0 && signal != SIGCHLD) {
            note(&child, (int)signal);
            pass_on(&child, &info);
        }
    }
}

/* Said when nothing can fail any more: a thaw that fails has one line, which tells why. */
int64_t say_ids(int64_t wanted, int64_t refusal) {
    struct line line;
    if (!refusal)
        return 0;
    line_start(&line, header()->name);
    line_text(&line, "process id ");
    line_number(&line, wanted);
    line_refusal(&line, refusal);
    line_text(&line, "running as ");
    line_number(&line, CALL0(SYS_getpid));
    line_end(&line);
    return 0;
}

/* fork(2), as process `pid` or, for 0, as whatever comes. */
static int64_t fork_as(int64_t pid) {
    int32_t wanted = (int32_t)pid;
    struct clone_args args = {.exit_signal = SIGCHLD};
    if (!pid)
        return CALL5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    args.set_tid = (uint64_t)&wanted;
    args.set_tid_size = 1;
    int64_t since = now(CLOCK_MONOTONIC), result;
    do
        result = CALL2(SYS_clone3, &args, sizeof args);
    while (is_given_back(result, wanted, since));
    return result;
}

/* Returns in the child. */
static int64_t continue_in_child(int64_t pid) {
    /* If it was ignored when the image was started, no child would ever be waited for. */
    default_action(SIGCHLD);
    int64_t child = fork_as(pid);
    if (child > 0)
        supervise(child);
    return child;
}

int64_t become(int64_t wanted, int64_t *refusal) {
    int in_namespace = has_flag(FLAG_TIME_NAMESPACE);
    int64_t refused = 0;
    if (CALL0(SYS_getpid) == wanted && !in_namespace)
        return 0;
    if (!has_flag(FLAG_PID_NEW)) {
        refused = continue_in_child(wanted);
        if (failed(refused) && (has_flag(FLAG_PID_SAME) || !is_about_ids(refused)))
            return refused;
    }
    if (has_flag(FLAG_PID_NEW) || failed(refused)) {
        set_flag(FLAG_NEW_IDS);
        /* A time namespace is entered by the children of whoever made it. */
        if (in_namespace) {
            int64_t child = continue_in_child(0);
            if (failed(child))
                return child;
        }
        *refusal = refused;
    }
    header()->pid = (uint64_t)CALL0(SYS_getpid);
    return 0;
}
