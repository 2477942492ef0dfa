#include "errors.h"
#include "verbs.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const size_t STACK = 65536;
// A call: its number, then its arguments; the number makes room for the result.
static const size_t WORDS = 7;

struct Calls {
    int64_t *words;
    size_t count;
};

static int Make(void *memory) {
    auto *calls = static_cast<Calls *>(memory);
    // Neither the terminal's signals nor a kill of the process group reach it.
    setsid();
    for (size_t i = 0; i < calls->count; i++) {
        int64_t *c = calls->words + i * WORDS;
        long result = syscall(c[0], c[1], c[2], c[3], c[4], c[5], c[6]);
        c[0] = result == -1 ? -errno : result;
    }
    return 0;
}

// Makes calls in a process that shares our memory and descriptors, and goes on if we are killed.
Napi::Value Outlive(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    auto words = info[0].As<Napi::BigInt64Array>();
    Calls calls = {words.Data(), words.ElementLength() / WORDS};
    void *stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        throw SystemError(env, errno, Napi::String::New(env, "mmap"));
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    // We wait here until it has ended. Without a signal at its end, Node.js does not take notice.
    int pid = clone(Make, static_cast<char *>(stack) + STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES,
                    &calls);
    int error = errno;
    if (pid >= 0)
        while (waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    munmap(stack, STACK);
    if (pid < 0)
        throw SystemError(env, error, Napi::String::New(env, "clone"));
    return env.Undefined();
}
