#include "errors.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

// Both queues of a pseudoterminal. The kernel shows what is in them only by giving it away, so it
// is read and put back, while whoever uses the terminal is stopped. That must not end half-way: it
// is done by a process of its own, in a session of its own, which shares our memory and goes on
// should we be killed meanwhile. Between its system calls nobody else has a say.

// asm/termbits.h, whose names clash with the C library's.
struct Modes {
    uint32_t input, output, control, local;
    uint8_t line, keys[19];
    uint32_t speeds[2];
};
static_assert(sizeof(Modes) == 44, "struct termios2");
enum { KEY_END = 4, KEY_TIME = 5, KEY_MIN = 6, KEY_START = 8, KEY_STOP = 9, KEY_QUOTE = 15 };
enum : uint32_t { ICANON_BIT = 2, EXTPROC_BIT = 0x10000 };
enum : unsigned long { GET_MODES = 0x802c542a, SET_MODES = 0x402c542b };

// What hinders; in the order of the interface in src/native/addon.ts.
enum Obstacle { NONE, STATUS, STOPPED, FULL, FAILED };

// Where more is in the queue, it might not go in again.
enum { ROOM = 16384, MOST_INPUT = 4000, WAIT_MS = 10000 };

struct Look {
    int master;
    bool packets, locked, exclusive;
    Modes typing;
    uint8_t typed[2 * ROOM + 16], output[ROOM], record[ROOM];
    size_t typedSize, outputSize;
    Obstacle obstacle;
    int error;
};

static int Events(int fd, short events, int timeout = 0) {
    struct pollfd one = {fd, events, 0};
    return poll(&one, 1, timeout) == 1 ? one.revents : 0;
}

static int Fail(Look &look) {
    look.obstacle = FAILED;
    look.error = errno;
    return -1;
}

// What must be typed to have these bytes in the queue: those with a meaning are quoted.
static void Type(Look &look, const uint8_t *bytes, size_t size, bool complete) {
    const uint8_t *keys = look.typing.keys;
    bool newline = complete && size > 0 && bytes[size - 1] == '\n';
    uint8_t *to = look.typed + look.typedSize;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = bytes[i];
        bool means = byte == '\n' || byte == keys[KEY_END] || byte == keys[KEY_START] ||
                     byte == keys[KEY_STOP] || byte == keys[KEY_QUOTE];
        if (means && !(newline && i == size - 1))
            *to++ = keys[KEY_QUOTE];
        *to++ = byte;
    }
    if (complete && !newline)
        *to++ = keys[KEY_END];
    look.typedSize = to - look.typed;
}

// poll(2) has the kernel deliver what is under way before it says that there is nothing.
static int TakeOutput(Look &look) {
    while (Events(look.master, POLLIN) & POLLIN && look.outputSize < ROOM) {
        ssize_t got = read(look.master, look.output + look.outputSize, ROOM - look.outputSize);
        if (got <= 0)
            return Fail(look);
        look.outputSize += got;
    }
    return 0;
}

static int TakeInput(Look &look, int slave, const Modes &modes) {
    bool lines = modes.local & ICANON_BIT && !(modes.local & EXTPROC_BIT);
    while (lines && look.typedSize < ROOM && Events(slave, POLLIN) & POLLIN) {
        ssize_t got = read(slave, look.record, ROOM / 2);
        if (got < 0)
            return Fail(look);
        Type(look, look.record, got, true);
    }
    // A line that is not complete can be read only once there are no lines.
    Modes plain = modes;
    plain.local &= ~ICANON_BIT;
    plain.keys[KEY_MIN] = 1;
    plain.keys[KEY_TIME] = 0;
    if (ioctl(slave, SET_MODES, &plain))
        return Fail(look);
    while (look.typedSize < ROOM && Events(slave, POLLIN) & POLLIN) {
        ssize_t got = read(slave, look.record, ROOM / 2);
        if (got <= 0)
            return Fail(look);
        Type(look, look.record, got, false);
    }
    return 0;
}

// All of it, even if that takes waiting until the kernel has made room.
static int WriteAll(Look &look, int fd, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);
        if (put < 0 && (errno != EAGAIN || !(Events(fd, POLLOUT, WAIT_MS) & POLLOUT)))
            return Fail(look);
        if (put > 0) {
            bytes += put;
            size -= put;
        }
    }
    return 0;
}

// Output is stopped first and started last by a key: when it runs, everything typed has arrived.
static int PutInput(Look &look, int slave) {
    const uint8_t *keys = look.typing.keys;
    if (WriteAll(look, look.master, &keys[KEY_STOP], 1))
        return -1;
    Events(slave, POLLIN);
    look.typed[look.typedSize] = keys[KEY_START];
    if (WriteAll(look, look.master, look.typed, look.typedSize + 1))
        return -1;
    errno = ETIMEDOUT;
    return Events(slave, POLLOUT, WAIT_MS) & POLLOUT ? 0 : Fail(look);
}

static Obstacle FindObstacle(int master, int slave) {
    if (Events(master, POLLPRI) & POLLPRI)
        return STATUS;
    if (!(Events(slave, POLLOUT) & POLLOUT))
        return STOPPED;
    int waiting = 0;
    bool full = ioctl(slave, FIONREAD, &waiting) == 0 && waiting > MOST_INPUT;
    return full || !(Events(master, POLLOUT) & POLLOUT) ? FULL : NONE;
}

static void TakeAndPutBack(Look &look, int slave) {
    Modes modes;
    if (ioctl(slave, GET_MODES, &modes)) {
        Fail(look);
        return;
    }
    int off = 0, on = 1;
    // Otherwise a change of modes is told there.
    if (look.packets)
        ioctl(look.master, TIOCPKT, &off);
    // Each step is for what the steps before have taken, whether they failed or not.
    TakeOutput(look);
    TakeInput(look, slave, modes);
    if (ioctl(slave, SET_MODES, &look.typing))
        Fail(look);
    if (look.typedSize > 0)
        PutInput(look, slave);
    WriteAll(look, slave, look.output, look.outputSize);
    if (ioctl(slave, SET_MODES, &modes))
        Fail(look);
    if (look.packets)
        ioctl(look.master, TIOCPKT, &on);
}

static int Child(void *argument) {
    Look &look = *static_cast<Look *>(argument);
    int unlocked = 0, locked = 1;
    setsid();
    if (look.locked)
        ioctl(look.master, TIOCSPTLCK, &unlocked);
    int slave = ioctl(look.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (slave < 0)
        Fail(look);
    if (look.locked)
        ioctl(look.master, TIOCSPTLCK, &locked);
    if (slave >= 0) {
        int exclusive = 0;
        look.exclusive = ioctl(slave, TIOCGEXCL, &exclusive) == 0 && exclusive;
        look.obstacle = FindObstacle(look.master, slave);
        if (look.obstacle == NONE)
            TakeAndPutBack(look, slave);
    }
    _exit(0); // its descriptors are its own, and are closed
}

// Our thread waits until the child has ended; no signal comes between.
static void RunChild(Look &look) {
    std::vector<uint8_t> stack(65536);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int pid = clone(Child, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK, &look);
    if (pid < 0)
        Fail(look);
    else
        waitpid(pid, nullptr, __WCLONE);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

static Napi::Value Bytes(Napi::Env env, const uint8_t *bytes, size_t size) {
    Napi::Uint8Array copy = Napi::Uint8Array::New(env, size);
    memcpy(copy.Data(), bytes, size);
    return copy;
}

Napi::Value Pty(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    std::vector<Look> one(1);
    Look &look = one[0];
    look.master = info[0].ToNumber().Int32Value();
    look.packets = info[1].ToBoolean();
    look.locked = info[2].ToBoolean();
    Napi::Uint8Array typing = info[3].As<Napi::Uint8Array>();
    if (typing.ByteLength() != sizeof(Modes))
        throw Napi::RangeError::New(env, "a termios2 has 44 bytes");
    memcpy(&look.typing, typing.Data(), sizeof(Modes));
    RunChild(look);
    if (look.obstacle == FAILED)
        throw SystemError(env, look.error, Napi::String::New(env, "pty"));
    Napi::Object result = Napi::Object::New(env);
    result["obstacle"] = Napi::Number::New(env, look.obstacle);
    result["exclusive"] = Napi::Boolean::New(env, look.exclusive);
    result["typed"] = Bytes(env, look.typed, look.typedSize);
    result["output"] = Bytes(env, look.output, look.outputSize);
    return result;
}
