/*
 * POSIX message queues: descriptors with their flags lead to the queues that they led to, where
 * what waited is still there, in its order. A thread waits in one.
 */
#define _GNU_SOURCE
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 32 };

static mqd_t both, reader, answers;
static char names[2][64];

static mqd_t make_queue(int which) {
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = SIZE};
    snprintf(names[which], sizeof names[which], "/proc2elf-%d-%d", (int)getpid(), which);
    return (mqd_t)NEED(
        mq_open(names[which], O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes));
}
/* What the image will find: it has the queue of the process that goes on before. */
static void put(void) {
    NEED(mq_send(both, "second", 6, 1));
    NEED(mq_send(both, "first", 5, 7));
    NEED(mq_send(both, "third", 5, 1));
}
static void comes(const char *text, unsigned priority) {
    char buffer[SIZE] = {0};
    unsigned found = 0;
    ssize_t got = mq_receive(reader, buffer, sizeof buffer, &found);
    CHECK(got == (ssize_t)strlen(text) && strcmp(buffer, text) == 0 && found == priority,
          "%zd bytes of priority %u instead of %s: %s", got, found, text, buffer);
}
/* Somebody writes only when the program goes on. */
static void *wait_for_answer(void *unused) {
    char buffer[SIZE] = {0};
    ssize_t got = mq_receive(answers, buffer, sizeof buffer, NULL);
    CHECK(got == 6 && memcmp(buffer, "answer", 6) == 0, "the thread that waits: %zd bytes", got);
    return unused;
}

int main(void) {
    both = make_queue(0);
    mqd_t writer = make_queue(1);
    answers = (mqd_t)NEED(mq_open(names[1], O_RDONLY));
    reader = (mqd_t)NEED(mq_open(names[0], O_RDONLY | O_NONBLOCK));
    put();
    pthread_t thread;
    NEED(-pthread_create(&thread, NULL, wait_for_answer, NULL));
    ready();
    await_go();
    comes("first", 7);
    comes("second", 1);
    comes("third", 1);
    char buffer[SIZE];
    CHECK(mq_receive(both, buffer, sizeof buffer, NULL) == -1 && errno == EAGAIN,
          "O_NONBLOCK is gone, or there is more");
    CHECK(mq_send(reader, "x", 1, 0) == -1 && errno == EBADF, "what was for reading is written to");
    put();
    NEED(mq_send(writer, "answer", 6, 0));
    NEED(-pthread_join(thread, NULL));
    finish();
}
