/*
 * Ids. The process id is part of a program's state, so the old one is taken where it is free and
 * permitted: by a child that is made with it. The first process then stays as a supervisor: it
 * passes signals on and mirrors how the child stops, continues and ends.
 */
#include "interpreter.h"

enum {
    SIGHUP = 1,
    SIGINT = 2,
    SIGQUIT = 3,
    SIGKILL = 9,
    SIGCHLD = 17,
    SIGCONT = 18,
    SIGSTOP = 19,
    SIGTSTP = 20,
    SIGTTOU = 22,
    SIGWINCH = 28,
    SIGRTMIN = 32,
    SI_KERNEL = 0x80,
    SIG_SETMASK = 2,
    WNOHANG = 1,
    WUNTRACED = 2,
    WCONTINUED = 8,
    RLIMIT_CORE = 4,
};

struct clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size;
};

struct siginfo {
    int32_t signo, error, code, pad;
    uint64_t fields[14];
};

/* Dies as the child did, without a core dump of our own. */
__attribute__((noreturn)) static void die_of(int signal) {
    uint64_t none = 0, action[4] = {0, 0, 0, 0}, limit[2] = {0, 0};
    CALL4(SYS_prlimit64, 0, RLIMIT_CORE, limit, 0);
    CALL4(SYS_rt_sigaction, signal, action, 0, 8);
    CALL2(SYS_kill, CALL0(SYS_getpid), signal);
    CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
    quit(128 + signal);
}

static void mirror(int64_t child) {
    int32_t status;
    for (;;) {
        int64_t pid = CALL4(SYS_wait4, child, &status, WNOHANG | WUNTRACED | WCONTINUED, 0);
        if (pid != child)
            return;
        if ((status & 0xff) == 0x7f)
            CALL2(SYS_kill, CALL0(SYS_getpid), SIGSTOP);
        else if (status == 0xffff)
            continue;
        else if (status & 0x7f)
            die_of(status & 0x7f);
        else
            quit(status >> 8 & 0xff);
    }
}

/* The terminal sends these to the whole foreground group, of which the child is a member itself. */
static int from_terminal(const struct siginfo *info) {
    return info->code == SI_KERNEL && (info->signo <= SIGQUIT || info->signo == SIGWINCH ||
                                       (info->signo >= SIGTSTP && info->signo <= SIGTTOU));
}

static void pass_on(int64_t child, struct siginfo *info) {
    if (from_terminal(info))
        return;
    /* A queued signal keeps its value; others are sent, as only the kernel may say that it did. */
    if (info->code == -1)
        CALL3(SYS_rt_sigqueueinfo, child, info->signo, info);
    else
        CALL2(SYS_kill, child, info->signo);
}

__attribute__((noreturn)) static void supervise(int64_t child) {
    uint64_t all = ~0ull;
    CALL3(SYS_close_range, 0, ~0u, 0);
    for (;;) {
        struct siginfo info;
        int64_t signal = CALL4(SYS_rt_sigtimedwait, &all, &info, 0, 8);
        if (signal == SIGCHLD)
            mirror(child);
        else if (signal > 0)
            pass_on(child, &info);
        /* Stopped by SIGSTOP and continued: the child may have been, too, in between. */
        if (signal == SIGCONT)
            mirror(child);
    }
}

static void say_new_ids(int64_t wanted, int64_t result) {
    struct line line;
    line_start(&line, header());
    line_text(&line, "process id ");
    line_number(&line, wanted);
    if (result == -EEXIST)
        line_text(&line, " is taken: running as ");
    else if (result == -EPERM)
        line_text(&line, " may not be taken without privileges: running as ");
    else {
        line_text(&line, " is not to be had (");
        line_error(&line, result);
        line_text(&line, "): running as ");
    }
    line_number(&line, CALL0(SYS_getpid));
    line_end(&line);
}

static int64_t fork_as(int64_t pid) {
    int32_t wanted = (int32_t)pid;
    struct clone_args args = {.exit_signal = SIGCHLD};
    if (pid) {
        args.set_tid = (uint64_t)&wanted;
        args.set_tid_size = 1;
    }
    return CALL2(SYS_clone3, &args, sizeof args);
}

int64_t become(int64_t wanted) {
    int64_t child = 0;
    int in_namespace = has_flag(FLAG_TIME_NAMESPACE);
    if (CALL0(SYS_getpid) == wanted && !in_namespace)
        return 0;
    if (!has_flag(FLAG_PID_NEW)) {
        child = fork_as(wanted);
        if (child > 0 && !failed(child))
            supervise(child);
        if (failed(child) && has_flag(FLAG_PID_SAME))
            return child;
    }
    int64_t refused = failed(child) ? child : 0;
    if (has_flag(FLAG_PID_NEW) || refused) {
        set_flag(FLAG_NEW_IDS);
        /* A time namespace is entered by the children of whoever made it. */
        if (in_namespace) {
            child = fork_as(0);
            if (child > 0 && !failed(child))
                supervise(child);
            if (failed(child))
                return child;
        }
        if (refused)
            say_new_ids(wanted, refused);
    }
    header()->pid = (uint64_t)CALL0(SYS_getpid);
    return 0;
}
