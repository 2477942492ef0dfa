/*
 * epoll_wait(2) in a loop that loads its timeout into r10 once, as a compiler may where the call is
 * inline: the kernel never changes that register. Line `go` makes the set ready and ends the loop.
 */
#include "support/check.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TIMEOUT_MS = 2000 };

int main(void) {
    struct epoll_event event = {.events = EPOLLIN};
    int set = (int)NEED(epoll_create1(0));
    NEED(epoll_ctl(set, EPOLL_CTL_ADD, STDIN_FILENO, &event));
    ready();
    register long timeout __asm__("r10") = TIMEOUT_MS;
    long result;
    __asm__ volatile("1: mov %[number], %%eax\n"
                     "syscall\n"
                     "test %%rax, %%rax\n"
                     "jz 1b\n"
                     : "=&a"(result), "+r"(timeout)
                     : [number] "i"(SYS_epoll_wait), "D"((long)set), "S"(&event), "d"(1L)
                     : "rcx", "r11", "memory");
    long after = timeout;
    CHECK(result == 1, "epoll_wait gives %ld", result);
    CHECK(after == TIMEOUT_MS, "r10 is %ld instead of %d", after, TIMEOUT_MS);
    await_go();
    finish();
}
