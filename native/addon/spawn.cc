#include "errors.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// Where the tracer finds its end of the socket. It gets no other descriptor of ours: a pipe that
// it kept open would never read end-of-file at its other end.
static const int TRACER_SOCKET = 3;

static int Spawn(const char *path, int socket, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, TRACER_SOCKET);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, TRACER_SOCKET + 1);
    posix_spawn_file_actions_addchdir_np(&actions, "/");

    // A session of its own: neither the terminal's signals nor a kill of our process group reach
    // it.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);

    char name[] = "proc2elf-tracer";
    char *argv[] = {name, nullptr};
    char *envp[] = {nullptr};
    int error = posix_spawn(pid, path, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

Napi::Value SpawnTracer(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::string path = info[0].ToString().Utf8Value();
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        throw SystemError(env, errno, Napi::String::New(env, "socketpair"));
    pid_t pid;
    int error = Spawn(path.c_str(), ends[1], &pid);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        throw SystemError(env, error, Napi::String::New(env, "posix_spawn"));
    }
    Napi::Object result = Napi::Object::New(env);
    result["socket"] = Napi::Number::New(env, ends[0]);
    result["pid"] = Napi::Number::New(env, pid);
    return result;
}

Napi::Value Reap(const Napi::CallbackInfo &info) {
    pid_t pid = info[0].ToNumber().Int32Value();
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            throw SystemError(info.Env(), errno, Napi::String::New(info.Env(), "waitpid"));
    return Napi::Number::New(info.Env(), status);
}
