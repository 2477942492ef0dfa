/*
 * The tracer: holds a process by ptrace on behalf of the command line, and outlives it. When the
 * socket ends, for whatever reason, the process is let go exactly as it was found.
 */
#include "channel.h"
#include "tracer.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sends a reply of up to three parts; false ends the tracer. */
static bool reply(struct header *header, int error, struct iovec a, struct iovec b,
                  struct iovec c) {
    struct iovec parts[4] = {{0}, a, b, c};
    header->error = error;
    return send_reply(header, parts, 4);
}

static const struct iovec none;

static bool reply_bytes(struct header *header, int error, void *bytes, size_t size) {
    return reply(header, error, (struct iovec){bytes, size}, none, none);
}

/* A failed injection says what went wrong in it. */
static bool reply_injected(struct header *header, int error, struct fault *fault, void *bytes,
                           size_t size) {
    if (error == EFAULT)
        return reply_bytes(header, error, fault, sizeof *fault);
    return reply_bytes(header, error, bytes, error ? 0 : size);
}

static bool do_seize(struct header *header) {
    if (target.pid)
        return reply_bytes(header, EBUSY, NULL, 0);
    int error = seize(header->tid);
    if (error) {
        bool attached;
        release(RELEASE_RUN, &attached);
        return reply_bytes(header, error, NULL, 0) && !attached;
    }
    int32_t *tids = malloc((target.count + 1) * sizeof *tids);
    size_t count = 0;
    for (size_t i = 0; tids && i < target.count; i++)
        if (target.threads[i]->condition == STOPPED)
            tids[count++] = target.threads[i]->tid;
    bool sent = reply_bytes(header, tids ? 0 : ENOMEM, tids, count * sizeof *tids);
    free(tids);
    return sent;
}

static bool do_state(struct header *header, struct thread *thread) {
    static uint8_t xstate[MAX_XSTATE];
    struct state state;
    uint8_t *pending = NULL;
    int error = read_state(thread, &state, xstate, &pending);
    size_t pending_size = state.pending * (size_t)SIGINFO_SIZE;
    bool sent = error ? reply_bytes(header, error, NULL, 0)
                      : reply(header, 0, (struct iovec){&state, sizeof state},
                              (struct iovec){xstate, state.xstate_size},
                              (struct iovec){pending, pending_size});
    free(pending);
    return sent;
}

static bool do_shared_pending(struct header *header, struct thread *thread) {
    uint8_t *siginfos;
    uint32_t count;
    int error = read_pending(thread->tid, true, &siginfos, &count);
    bool sent = reply_bytes(header, error, siginfos, error ? 0 : count * (size_t)SIGINFO_SIZE);
    free(siginfos);
    return sent;
}

static bool do_release(struct header *header, uint64_t how) {
    bool attached = false;
    int error = target.pid ? release(how, &attached) : ESRCH;
    return reply_bytes(header, error, NULL, 0) && !attached;
}

/* Requests that need a thread that is held. */
static bool serve_thread(struct header *header, struct thread *thread, const uint64_t *words) {
    struct fault fault = {0};
    int64_t result = 0;
    bool out = false;
    int error;
    switch (header->verb) {
    case VERB_STATE:
        return do_state(header, thread);
    case VERB_SHARED_PENDING:
        return do_shared_pending(header, thread);
    case VERB_STEP_OUT:
        error = step_out(thread, words[0], words[1], words[2], &out);
        result = out;
        return reply_injected(header, error, &fault, &result, sizeof result);
    case VERB_SYSCALL:
        error = inject_syscall(thread, words[0], words[1], words + 2, &result, &fault);
        return reply_injected(header, error, &fault, &result, sizeof result);
    case VERB_SCRATCH:
        error = scratch_note(thread->tid, words[0], words[1], words[2]);
        return reply_bytes(header, error, NULL, 0);
    case VERB_RUN:
        error = inject_run(thread, words[0], words[1], words[2], words[3], &fault);
        return reply_injected(header, error, &fault, NULL, 0);
    case VERB_SET_RESULT:
        thread->released.rax = words[0];
        return reply_bytes(header, put_back(thread), NULL, 0);
    case VERB_SET_TIMEOUT:
        thread->released.r10 = words[0];
        return reply_bytes(header, put_back(thread), NULL, 0);
    default:
        return false;
    }
}

static bool do_set_net(struct header *header, const uint64_t *words) {
    target.net = (struct net){words[0], words[1], words[2], header->tid, (long)words[3]};
    return reply_bytes(header, 0, NULL, 0);
}

static bool serve(struct header *header, const uint64_t *words) {
    if (header->verb == VERB_HOLD)
        return reply_bytes(header, keep_hold(words, header->length), NULL, 0);
    if (header->verb == VERB_REPAIR)
        return reply_bytes(header, target.pid ? keep_look((int)words[0]) : ESRCH, NULL, 0);
    if (header->verb == VERB_REPAIR_PASSED)
        return reply_bytes(header, target.pid ? keep_look_passed(take_passed()) : ESRCH, NULL, 0);
    if (header->verb == VERB_SEIZE)
        return do_seize(header);
    if (header->verb == VERB_RELEASE)
        return do_release(header, words[0]);
    if (header->verb == VERB_SET_NET)
        return do_set_net(header, words);
    collect_stops();
    struct thread *thread = thread_find(header->tid);
    if (!thread || thread->condition != STOPPED)
        return reply_bytes(header, ESRCH, NULL, 0);
    return serve_thread(header, thread, words);
}

/* Waits for a request; meanwhile a target that is killed leaves no zombies. */
static void await_request(void) {
    struct pollfd readable = {CHANNEL, POLLIN, 0};
    with_stops_collected(true);
    while (poll(&readable, 1, -1) < 0 && errno == EINTR)
        ;
    with_stops_collected(false);
}

static bool next_request(struct header *header, uint64_t words[MAX_WORDS]) {
    await_request();
    return receive(header, sizeof *header) && header->length <= MAX_WORDS * sizeof *words &&
           receive(words, header->length);
}

/* Only SIGKILL ends the tracer before its time. */
static void ignore_signals(void) {
    static const int signals[] = {SIGPIPE, SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGTSTP,
                                  SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_IGN);
}

/*
 * The target stands still while the tracer waits for a processor, and on a busy machine that can be
 * seconds. It needs one only for moments. Without the privilege it goes as well.
 */
static void hurry(void) {
    const struct sched_param priority = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &priority);
}

int main(void) {
    struct stat channel;
    if (fstat(CHANNEL, &channel) < 0 || !S_ISSOCK(channel.st_mode)) {
        fputs("proc2elf-tracer: started by proc2elf, not by hand\n", stderr);
        return 2;
    }
    ignore_signals();
    hurry();
    stops_init();

    struct header header;
    uint64_t words[MAX_WORDS] = {0};
    while (next_request(&header, words) && serve(&header, words))
        ;
    bool attached;
    if (target.pid)
        release(RELEASE_RUN, &attached);
    return 0;
}
