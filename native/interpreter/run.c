/* The loop that executes a program. */
#include "interpreter.h"

extern struct thaw_header *header_address __attribute__((visibility("hidden")));

struct thaw_header *header(void) {
    return header_address;
}

int has_flag(uint32_t flag) {
    return (__atomic_load_n(&header()->flags, __ATOMIC_RELAXED) & flag) != 0;
}

void set_flag(uint32_t flag) {
    __atomic_fetch_or(&header()->flags, flag, __ATOMIC_SEQ_CST);
}

void quit(int status) {
    for (;;)
        CALL1(SYS_exit_group, status);
}

/* On its own: the stacks of threads have room for one line at a time. */
__attribute__((noinline)) static void complain(const char *label, const char *reason,
                                               int64_t result) {
    struct line line;
    line_start(&line, header()->name);
    line_text(&line, label);
    if (failed(result)) {
        line_text(&line, ": ");
        line_error(&line, result);
    } else if (reason) {
        line_text(&line, ": ");
        line_text(&line, reason);
    } else {
        line_text(&line, ": the result is ");
        line_number(&line, result);
    }
    line_end(&line);
}

void fail(const char *label, const char *reason, int64_t result) {
    uint32_t undo = header()->undo_program;
    complain(label, reason, result);
    if (has_flag(FLAG_CHECK)) {
        set_flag(FLAG_FAILED);
        return;
    }
    /* Once: what is undone may fail itself. */
    header()->undo_program = 0;
    if (undo)
        run(undo - 1);
    quit(EXIT_CANNOT_THAW);
}

static void trace(const struct op *op, int64_t result) {
    struct line line = {.used = 0};
    if (!op->text)
        return;
    line_text(&line, (const char *)op->text);
    line_text(&line, " = ");
    if (failed(result)) {
        line_text(&line, "-1 ");
        line_error(&line, result);
    } else if (result > 0xffff) {
        line_hex(&line, (uint64_t)result);
    } else {
        line_number(&line, result);
    }
    line_end(&line);
}

static uint64_t load(uint64_t address, uint64_t width) {
    switch (width) {
    case 1:
        return *(volatile uint8_t *)address;
    case 2:
        return *(volatile uint16_t *)address;
    case 4:
        return *(volatile uint32_t *)address;
    default:
        return *(volatile uint64_t *)address;
    }
}

static void store(uint64_t address, uint64_t width, uint64_t value) {
    switch (width) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)address = value;
    }
}

/* pread(2) until all is read. A short file gives the bytes that were there. */
static int64_t read_fully(uint64_t fd, uint64_t address, uint64_t size, uint64_t offset) {
    uint64_t done = 0;
    while (done < size) {
        int64_t got = CALL4(SYS_pread64, fd, address + done, size - done, offset + done);
        if (got == -EINTR)
            continue;
        if (failed(got))
            return got;
        if (got == 0)
            break;
        done += (uint64_t)got;
    }
    return (int64_t)done;
}

static int64_t builtin(uint16_t number, const uint64_t *a) {
    struct line line;
    switch (number) {
    case BUILTIN_XCR0:
        return (int64_t)(xcr0() & a[0]);
    case BUILTIN_TIME_NAMESPACE:
        return time_namespace((int64_t)a[0], (int64_t)a[1]);
    case BUILTIN_BECOME:
        return become((int64_t)a[0], (int64_t *)a[1]);
    case BUILTIN_SAY_IDS:
        return say_ids((int64_t)a[0], (int64_t)a[1]);
    case BUILTIN_PARK_VDSO:
        return park_vdso(a[0], a[1]);
    case BUILTIN_PLACE_VDSO:
        return place_vdso((const struct vdso_plan *)a[0]);
    case BUILTIN_CONVERT_XSTATE:
        return convert_xstate((const struct xstate_plan *)a[0]);
    case BUILTIN_FIX_TID:
        return fix_tid(a[0], (uint32_t)a[1], a[2]);
    case BUILTIN_TIMER_CREATE:
        return create_timer(a[0], a[1], (int32_t)a[2]);
    case BUILTIN_RESUME:
        resume(a[0], (uint32_t *)a[1]);
    case BUILTIN_FINISH:
        return finish((const struct finish_plan *)a[0]);
    case BUILTIN_OPEN_EXECFN:
        return CALL4(SYS_openat, AT_FDCWD, header()->execfn, a[0], 0);
    case BUILTIN_RAISE_LIMIT:
        return raise_limit(a[0], a[1]);
    case BUILTIN_SET_LIMIT:
        return set_limit(a[0], a[1], a[2]);
    case BUILTIN_ADVANCE_RING:
        return advance_ring(a[0], a[1], a[2], a[3]);
    case BUILTIN_ADVANCE_URING:
        return advance_uring((const struct uring_plan *)a[0]);
    case BUILTIN_OWN_FOLDER:
        return own_folder((char *)a[0]);
    case BUILTIN_NOTE:
        line_start(&line, header()->name);
        line_text(&line, (const char *)a[0]);
        line_end(&line);
        return 0;
    default:
        return -ENOSYS;
    }
}

void operands(const struct op *op, uint64_t values[6]) {
    for (int i = 0; i < 6; i++)
        values[i] = op->indirect & 1 << i ? *(volatile uint64_t *)op->args[i] : op->args[i];
}

static int64_t execute(const struct op *op) {
    uint64_t a[6];
    operands(op, a);
    switch (op->code) {
    case OP_SYSCALL:
        return syscall6(op->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    case OP_READ:
        return read_fully(a[0], a[1], a[2], a[3]);
    case OP_TEST:
        return (int64_t)(load(a[0], a[1]) & a[2]);
    case OP_COMPARE:
        return !same((const void *)a[0], (const void *)a[1], a[2]);
    case OP_STORE:
        store(a[0], a[1], a[2]);
        return 0;
    case OP_BUILTIN:
        return builtin(op->number, a);
    case OP_SPAWN:
        return spawn(a[0], a[1], a[2]);
    case OP_BARRIER:
        barrier((uint32_t *)a[0], (uint32_t)a[1]);
        return 0;
    case OP_EXIT:
        quit((int)a[0]);
    default:
        return 0;
    }
}

static int tolerated(const struct op *op, int64_t result) {
    for (int i = 0; i < 4 && op->tolerated[i]; i++)
        if (result == -op->tolerated[i] || op->tolerated[i] == TOLERATE_ANY)
            return 1;
    return 0;
}

/* Checks a result; returns the index of the operation to go on with. */
static uint32_t check(const struct op *op, uint32_t index, int64_t result) {
    const char *label = (const char *)(op->label ? op->label : op->text);
    const char *reason = (const char *)op->reason;
    if (!label)
        label = "a step of the thaw failed";
    /* Values of loads are not results of calls: they may look like an errno. */
    int is_call = op->code != OP_TEST;
    switch (op->check) {
    case CHECK_OK:
        if (!is_call || !failed(result))
            break;
        if (tolerated(op, result))
            return op->jump ? op->jump - 1 : index + 1;
        fail(label, reason, result);
        break;
    case CHECK_EQUAL:
    case CHECK_ATLEAST:
        if (op->check == CHECK_EQUAL ? result == op->expected : result >= op->expected)
            break;
        if (op->jump)
            return op->jump - 1;
        fail(label, reason, is_call ? result : 0);
        break;
    default:
        break;
    }
    return index + 1;
}

void run(uint32_t number) {
    const struct program *program = (const struct program *)header()->programs + number;
    const struct op *ops = (const struct op *)program->ops;
    uint32_t index = 0;
    while (index < program->count) {
        const struct op *op = &ops[index];
        uint32_t flags = __atomic_load_n(&header()->flags, __ATOMIC_RELAXED);
        if ((flags & op->when) != op->when || flags & op->unless) {
            index++;
            continue;
        }
        if (op->code == OP_JUMP) {
            index = op->jump - 1;
            continue;
        }
        /* The last acts do not return: they are shown before. */
        if (flags & FLAG_VERBOSE && op->code == OP_BUILTIN &&
            (op->number == BUILTIN_FINISH || op->number == BUILTIN_RESUME))
            trace(op, 0);
        int64_t result = execute(op);
        if (op->result)
            *(volatile uint64_t *)op->result = (uint64_t)result;
        if (flags & FLAG_VERBOSE)
            trace(op, result);
        index = check(op, index, result);
    }
}
