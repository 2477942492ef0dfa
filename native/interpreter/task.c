/* Threads: making them, waiting for each other, correcting what C libraries remember of their ids.
 */
#include "interpreter.h"

enum {
    CLONE_SIGHAND = 0x800,
    CLONE_THREAD = 0x10000,
    CLONE_SYSVSEM = 0x40000,
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    PR_TIMER_CREATE_RESTORE_IDS = 77,
    MOST_TIMER_IDS = 1 << 22, /* tried one by one: some seconds */
};

static void thread_entry(void *program) {
    run((uint32_t)(uint64_t)program);
    for (;;)
        CALL1(SYS_exit, 0);
}

static void say_new_ids(int64_t tid, int64_t result) {
    struct line line;
    line_start(&line, header()->name);
    line_text(&line, "thread id ");
    line_number(&line, tid);
    line_refusal(&line, result);
    line_text(&line, "threads run under new ids");
    line_end(&line);
}

int64_t spawn(uint64_t program, uint64_t tid, uint64_t stack_top) {
    uint64_t flags =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    int32_t wanted = (int32_t)tid;
    struct clone_args args = {.flags = flags,
                              .stack = stack_top - PAGE, /* the kernel sums the two, no more */
                              .stack_size = PAGE,
                              .set_tid = (uint64_t)&wanted,
                              .set_tid_size = 1};
    if (tid != 0 && !has_flag(FLAG_NEW_IDS)) {
        int64_t since = now(CLOCK_MONOTONIC), result;
        do
            result = clone3_on(&args, sizeof args, thread_entry, (void *)program);
        while (is_given_back(result, wanted, since));
        if (!failed(result) || has_flag(FLAG_PID_SAME) || !is_about_ids(result))
            return result;
        say_new_ids((int64_t)tid, result);
        set_flag(FLAG_NEW_IDS);
    }
    return clone_on(flags, stack_top, thread_entry, (void *)program);
}

void futex_wait(uint32_t *word, uint32_t value) {
    CALL4(SYS_futex, word, FUTEX_WAIT, value, 0);
}

void futex_wake(uint32_t *word) {
    CALL3(SYS_futex, word, FUTEX_WAKE, 0x7fffffff);
}

void barrier(uint32_t *arrived, uint32_t parties) {
    uint32_t count = __atomic_add_fetch(arrived, 1, __ATOMIC_SEQ_CST);
    if (count == parties)
        futex_wake(arrived);
    for (; count < parties; count = __atomic_load_n(arrived, __ATOMIC_SEQ_CST))
        futex_wait(arrived, count);
}

/* Where musl (1.1.20 and later) keeps the id: struct pthread, `tid`. */
#define MUSL_TID 48

int64_t fix_tid(uint64_t address, uint32_t old, uint64_t fs_base) {
    uint32_t tid = (uint32_t)CALL0(SYS_gettid), word;
    uint64_t self;
    if (tid == old)
        return 0;
    if (address && !read_self(&word, address, sizeof word) && word == old) {
        return failed(write_self(address, &tid, sizeof tid)) ? 0 : 1; /* glibc: struct pthread */
    }
    if (fs_base && !read_self(&self, fs_base, sizeof self) && self == fs_base &&
        !read_self(&word, fs_base + MUSL_TID, sizeof word) && word == old) {
        return failed(write_self(fs_base + MUSL_TID, &tid, sizeof tid)) ? 0 : 2;
    }
    return 0;
}

int64_t create_timer(uint64_t clock, uint64_t event, int32_t id) {
    /* Since Linux 6.15 the id may be asked for; before, ids are handed out in ascending order. */
    if (!failed(CALL5(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0))) {
        int32_t wanted = id;
        int64_t result = CALL3(SYS_timer_create, clock, event, &wanted);
        CALL5(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0);
        return result;
    }
    for (int32_t i = 0; i < MOST_TIMER_IDS; i++) {
        int32_t got = 0;
        int64_t result = CALL3(SYS_timer_create, clock, event, &got);
        if (failed(result) || got == id)
            return result;
        CALL1(SYS_timer_delete, got);
        if (got > id)
            return -EEXIST;
    }
    return -EEXIST;
}

/* In place, as what comes in front of the id is always longer than what takes its place. */
int64_t own_folder(char *link) {
    static const char proc[] = "/proc";
    char *slash = link + length(link);
    while (slash > link && *slash != '/')
        slash--;
    if (slash - link < (int64_t)sizeof proc - 1)
        return -EINVAL;
    slash -= sizeof proc - 1;
    copy(slash, proc, sizeof proc - 1);
    return (int64_t)slash;
}
