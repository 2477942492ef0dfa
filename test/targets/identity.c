/* Who the process is: everything that has no memory and no descriptor behind it. */
#define _GNU_SOURCE
#include "support/check.h"
#include "support/self.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What prctl(2) tells; those that the machine does not know read as -1 before and after. */
static const struct {
    const char *name;
    int option;
    bool by_address;
} queries[] = {
    {"dumpable", PR_GET_DUMPABLE, false},
    {"parent-death signal", PR_GET_PDEATHSIG, true},
    {"child subreaper", PR_GET_CHILD_SUBREAPER, true},
    {"timer slack", PR_GET_TIMERSLACK, false},
    {"no_new_privs", PR_GET_NO_NEW_PRIVS, false},
    {"THP disable", PR_GET_THP_DISABLE, false},
    {"securebits", PR_GET_SECUREBITS, false},
    {"keepcaps", PR_GET_KEEPCAPS, false},
};
enum { QUERIES = sizeof queries / sizeof *queries };

static void ask(int *answers) {
    for (int i = 0; i < QUERIES; i++) {
        answers[i] = 0;
        if (queries[i].by_address)
            NEED(prctl(queries[i].option, &answers[i], 0, 0, 0));
        else
            answers[i] = prctl(queries[i].option, 0, 0, 0, 0);
    }
}

static void limit(int resource, rlim_t soft) {
    struct rlimit value;
    NEED(getrlimit(resource, &value));
    value.rlim_cur = soft;
    NEED(setrlimit(resource, &value));
}

static void become_less(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    NEED(syscall(SYS_capget, &header, data));
    data[0].effective &= ~(1u << CAP_SYS_MODULE);
    data[0].permitted &= ~(1u << CAP_SYS_RAWIO);
    data[0].effective &= ~(1u << CAP_SYS_RAWIO);
    data[0].inheritable = 1u << CAP_CHOWN & data[0].permitted;
    NEED(syscall(SYS_capset, &header, data));
}

/* Another user, who keeps one capability; what none of its programs may ever have is dropped. */
static void become_other(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = 1u << CAP_KILL,
                                              .permitted = 1u << CAP_KILL | 1u << CAP_CHOWN,
                                              .inheritable = 1u << CAP_CHOWN}};
    enum { OTHER = 65534 };
    NEED(prctl(PR_SET_SECUREBITS,
               SECBIT_KEEP_CAPS | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 0,
               0, 0));
    NEED(prctl(PR_CAPBSET_DROP, CAP_SYS_RAWIO, 0, 0, 0));
    NEED(prctl(PR_CAPBSET_DROP, CAP_SETPCAP, 0, 0, 0));
    NEED(setresgid(OTHER, OTHER, OTHER));
    NEED(setresuid(OTHER, OTHER, OTHER));
    NEED(syscall(SYS_capset, &header, data));
    NEED(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    NEED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

int main(int argc, char **argv) {
    char oom[16];
    CHECK(argc == 4 && strcmp(argv[2], "") == 0, "run me as: identity 'a b' '' $'\\n'");
    NEED(mkdir("below", 0700) == 0 || errno == EEXIST ? 0 : -1);
    NEED(chdir("below"));
    umask(0137);
    limit(RLIMIT_NOFILE, 333);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_STACK, 4 << 20);
    limit(RLIMIT_NPROC, 12345);
    limit(RLIMIT_SIGPENDING, 777);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    NEED(fd);
    NEED(write(fd, "321", 3));
    close(fd);
    slurp("/proc/self/oom_score_adj", oom, sizeof oom);
    NEED(prctl(PR_SET_NAME, "a (b) c\nd"));
    NEED(prctl(PR_SET_PDEATHSIG, SIGWINCH, 0, 0, 0));
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    NEED(prctl(PR_SET_TIMERSLACK, 77777, 0, 0, 0));
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (strcmp(argv[1], "other user") == 0) {
        become_other();
    } else if (geteuid() == 0) {
        NEED(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0));
        become_less();
    }
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (strcmp(argv[1], "undumpable") == 0)
        NEED(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    /* As servers do: what ps shows is memory of the process. */
    argv[0][0] = 'I';
    NEED(personality(ADDR_COMPAT_LAYOUT));
    int was[QUERIES], is[QUERIES];
    ask(was);
    setenv("AFTER", "all", 1);
    self_take();
    ready();
    await_go();
    self_compare(false);
    ask(is);
    for (int i = 0; i < QUERIES; i++)
        CHECK(was[i] == is[i], "%s was %d, is %d", queries[i].name, was[i], is[i]);
    mode_t mask = umask(0);
    CHECK(mask == 0137, "umask is %o", mask);
    CHECK(strcmp(getenv("AFTER"), "all") == 0, "environment");
    finish();
}
