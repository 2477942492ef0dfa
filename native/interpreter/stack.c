/* What execve(2) leaves on the stack: count, arguments, 0, environment, 0, auxiliary vector. */
#include "interpreter.h"

uint64_t auxiliary(const uint64_t *stack, uint64_t type) {
    const uint64_t *vector = stack + 1 + stack[0] + 1;
    while (*vector++)
        ;
    for (; vector[0] != AT_NULL; vector += 2)
        if (vector[0] == type)
            return vector[1];
    return 0;
}

const char *base_name(const char *path) {
    const char *name = path;
    for (; *path; path++)
        if (*path == '/' && path[1])
            name = path + 1;
    return name;
}
