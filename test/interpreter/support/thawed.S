/*
 * What the threads of a test's image run once they are thawed. Memory at WORK: a page of words, then
 * an XSAVE area. Entries lie at fixed offsets.
 */
#define WORK 0x20100000
#define STACK (WORK + 0x10000)
#define AREA (WORK + 0x1000)
#define HANDLED (WORK + 0xf00)
#define COUNT (WORK + 0xf08)
#define DUMP_SIZE 0x5000

    .text
    .globl start
start: /* +0x00: stores all registers and prints them */
    jmp dump
    .org 0x10 /* counts itself in and waits for ever */
    jmp worker
    .org 0x20 /* counts itself in, prints "ready" and waits for ever */
    jmp ready
    .org 0x30 /* signal handler: counts, then rt_sigreturn */
    jmp handler
    .org 0x40 /* restorer */
    mov $15, %eax
    syscall

dump:
    mov %rax, WORK + 0
    mov %rbx, WORK + 8
    mov %rcx, WORK + 16
    mov %rdx, WORK + 24
    mov %rsi, WORK + 32
    mov %rdi, WORK + 40
    mov %rbp, WORK + 48
    mov %rsp, WORK + 56
    mov %r8, WORK + 64
    mov %r9, WORK + 72
    mov %r10, WORK + 80
    mov %r11, WORK + 88
    mov %r12, WORK + 96
    mov %r13, WORK + 104
    mov %r14, WORK + 112
    mov %r15, WORK + 120
    mov $STACK, %rsp
    pushfq
    popq WORK + 128
    mov $-1, %eax
    mov $-1, %edx
    xsave64 AREA
    mov $14, %eax /* rt_sigprocmask: the mask as it is */
    xor %edi, %edi
    xor %esi, %esi
    mov $WORK + 136, %edx
    mov $8, %r10d
    syscall
    mov $157, %eax /* prctl(PR_GET_DUMPABLE) */
    mov $3, %edi
    syscall
    mov %rax, WORK + 144
    mov $1, %eax
    mov $1, %edi
    mov $WORK, %esi
    mov $DUMP_SIZE, %edx
    syscall
    mov $231, %eax
    xor %edi, %edi
    syscall

ready:
    lock incq COUNT
    mov $1, %eax
    mov $1, %edi
    lea message(%rip), %rsi
    mov $6, %edx
    syscall
    jmp wait

worker:
    lock incq COUNT
wait:
    mov $34, %eax /* pause */
    syscall
    jmp wait

handler:
    lock incq HANDLED
    ret

message:
    .ascii "ready\n"
