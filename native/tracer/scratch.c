#include "tracer.h"

#include <errno.h>
#include <sys/syscall.h>

int scratch_note(pid_t tid, uint64_t gadget, uint64_t address, uint64_t size) {
    scratch_forget(address);
    if (target.scratches == MAX_SCRATCH)
        return ENOSPC;
    target.scratch[target.scratches++] = (struct scratch){tid, gadget, address, size};
    return 0;
}

void scratch_forget(uint64_t address) {
    size_t kept = 0;
    for (size_t i = 0; i < target.scratches; i++)
        if (target.scratch[i].address != address)
            target.scratch[kept++] = target.scratch[i];
    target.scratches = kept;
}

/* The thread that made the mapping, or any other if that one is gone; null if none is held. */
static struct thread *thread_for(const struct scratch *scratch) {
    struct thread *thread = thread_find(scratch->tid);
    for (size_t i = 0; i < target.count && !(thread && thread->condition == STOPPED); i++)
        thread = target.threads[i];
    return thread && thread->condition == STOPPED ? thread : NULL;
}

static int unmap(struct thread *thread, const struct scratch *scratch) {
    const uint64_t args[6] = {scratch->address, scratch->size};
    int64_t result = 0;
    struct fault fault;
    int error = inject_syscall(thread, scratch->gadget, SYS_munmap, args, &result, &fault);
    return error ? error : (int)-result;
}

int scratch_remove(void) {
    int first_error = 0;
    while (target.scratches > 0) {
        struct scratch scratch = target.scratch[target.scratches - 1];
        struct thread *thread = thread_for(&scratch);
        int error = thread ? unmap(thread, &scratch) : 0;
        first_error = first_error ? first_error : error;
        scratch_forget(scratch.address);
    }
    return first_error;
}
