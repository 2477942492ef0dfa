/* The start of an image: the kernel's stack is read, the command line is understood. */
#include "interpreter.h"

static void remember_name(struct thaw_header *h, const char *path) {
    const char *name = base_name(path);
    uint32_t i;
    for (i = 0; name[i] && i < sizeof h->name - 1; i++)
        h->name[i] = name[i];
    h->name[i] = 0;
}

static void complain(struct thaw_header *h, const char *what, const char *argument) {
    struct line line;
    line_start(&line, h->name);
    line_text(&line, what);
    line_text(&line, argument);
    line_end(&line);
}

/* Finds the program to run; flags are set on the way. */
static uint32_t parse(struct thaw_header *h, char **arguments) {
    const struct option *options = (const struct option *)h->options;
    uint32_t program = 0;
    for (; *arguments; arguments++) {
        const struct option *option = 0;
        for (uint32_t i = 0; i < h->option_count && !option; i++)
            if (equal((const char *)options[i].name, *arguments))
                option = &options[i];
        if (!option) {
            complain(h, "unknown argument ", *arguments);
            return h->usage_program;
        }
        if (option->value) {
            if (!arguments[1]) {
                complain(h, "nothing follows ", *arguments);
                return h->usage_program;
            }
            *(uint64_t *)option->value = (uint64_t) * ++arguments;
        }
        h->flags = (h->flags & ~option->clear) | option->set;
        if (option->program)
            program = option->program - 1;
    }
    return program;
}

_Static_assert(offsetof(struct thaw_header, stack_top) == HEADER_STACK_TOP, "arch/x86_64.S");

void thaw_main(uint64_t *stack);

void thaw_main(uint64_t *stack) {
    struct thaw_header *h = header();
    uint64_t all = ~0ull;
    uint64_t count = stack[0];
    char **arguments = (char **)(stack + 1);
    CALL4(SYS_rt_sigprocmask, SIG_BLOCK, &all, 0, 8);
    h->execfn = auxiliary(stack, AT_EXECFN);
    h->sysinfo_ehdr = auxiliary(stack, AT_SYSINFO_EHDR);
    h->pid = (uint64_t)CALL0(SYS_getpid);
    remember_name(h, count ? arguments[0] : "frozen");
    run(parse(h, count ? arguments + 1 : arguments));
    quit(0);
}
