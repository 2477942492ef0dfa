/* x86-64: the system call instruction, and what else the C language does not say. */
#ifndef PROC2ELF_ARCH_H
#define PROC2ELF_ARCH_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t syscall6(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                               uint64_t e, uint64_t f) {
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    int64_t result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf));
}

static inline uint64_t xgetbv(uint32_t index) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

/* Saves x87 and SSE state, 512 bytes at a multiple of 16; changes none of it. */
static inline void fxsave(unsigned char *to) {
    __asm__ volatile("fxsave64 %0" : "=m"(*(unsigned char(*)[512])to));
}

/* Loads some components of an XSAVE area in standard form. */
static inline void xrstor(const unsigned char *from, uint64_t components) {
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(from), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
                     : "memory");
}

/* Leaves by rt_sigreturn(2) on the frame: nothing of ours is on any stack behind it. */
__attribute__((noreturn)) static inline void sigreturn_on(uint64_t frame) {
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\thlt" ::"r"(frame) : "memory");
    __builtin_unreachable();
}

/* Runs the last code, which is at `code`; see arch/x86_64.S. */
__attribute__((noreturn)) static inline void leave(uint64_t code, uint64_t pairs, uint64_t frame) {
    __asm__ volatile("jmp *%0" ::"r"(code), "S"(pairs), "D"(frame) : "memory");
    __builtin_unreachable();
}

/* Starts `entry(argument)` on another stack in a task made by clone; see arch/x86_64.S. */
int64_t clone_on(uint64_t flags, uint64_t stack_top, void (*entry)(void *), void *argument);
int64_t clone3_on(void *arguments, size_t size, void (*entry)(void *), void *argument);

#endif
