/* See live.h. Offsets are those of struct live. */
#define STOP 0
#define PROGRESS 8
#define ROUNDS 16
#define STACK 24
#define SAVED 32
#define IN 128
#define OUT (128 + 64 * 40)

/* Touches memory and flags only. */
.macro spin
1:  lock incq PROGRESS(%rdi)
    decq ROUNDS(%rdi)
    jz 2f
    cmpl $0, STOP(%rdi)
    je 1b
2:
.endm

.macro function name
    .globl \name
    .type \name, @function
\name:
.endm

    .text

function live_general
    mov %rbx, SAVED(%rdi)
    mov %rbp, SAVED + 8(%rdi)
    mov %r12, SAVED + 16(%rdi)
    mov %r13, SAVED + 24(%rdi)
    mov %r14, SAVED + 32(%rdi)
    mov %r15, SAVED + 40(%rdi)
    pushfq
    orq $0x40400, (%rsp)
    popfq
    xchg %rsp, STACK(%rdi)
    mov IN + 0(%rdi), %rax
    mov IN + 8(%rdi), %rbx
    mov IN + 16(%rdi), %rcx
    mov IN + 24(%rdi), %rdx
    mov IN + 32(%rdi), %rsi
    mov IN + 40(%rdi), %rbp
    mov IN + 48(%rdi), %r8
    mov IN + 56(%rdi), %r9
    mov IN + 64(%rdi), %r10
    mov IN + 72(%rdi), %r11
    mov IN + 80(%rdi), %r12
    mov IN + 88(%rdi), %r13
    mov IN + 96(%rdi), %r14
    mov IN + 104(%rdi), %r15
    spin
    mov %rax, OUT + 0(%rdi)
    mov %rbx, OUT + 8(%rdi)
    mov %rcx, OUT + 16(%rdi)
    mov %rdx, OUT + 24(%rdi)
    mov %rsi, OUT + 32(%rdi)
    mov %rbp, OUT + 40(%rdi)
    mov %r8, OUT + 48(%rdi)
    mov %r9, OUT + 56(%rdi)
    mov %r10, OUT + 64(%rdi)
    mov %r11, OUT + 72(%rdi)
    mov %r12, OUT + 80(%rdi)
    mov %r13, OUT + 88(%rdi)
    mov %r14, OUT + 96(%rdi)
    mov %r15, OUT + 104(%rdi)
    xchg %rsp, STACK(%rdi)
    pushfq
    pop %rax
    mov %rax, OUT + 112(%rdi)
    pushfq
    andq $~0x40400, (%rsp)
    popfq
    mov SAVED(%rdi), %rbx
    mov SAVED + 8(%rdi), %rbp
    mov SAVED + 16(%rdi), %r12
    mov SAVED + 24(%rdi), %r13
    mov SAVED + 32(%rdi), %r14
    mov SAVED + 40(%rdi), %r15
    ret

function live_x87
    fnstcw SAVED(%rdi)
    fninit
    fldcw IN(%rdi)
    .irp n, 7, 6, 5, 4, 3, 2, 1, 0
    fldt IN + 16 + 16 * \n(%rdi)
    .endr
    spin
    fnstcw OUT(%rdi)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    fstpt OUT + 16 + 16 * \n(%rdi)
    .endr
    fninit
    fldcw SAVED(%rdi)
    ret

function live_sse
    stmxcsr SAVED(%rdi)
    ldmxcsr IN(%rdi)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movaps IN + 64 + 16 * \n(%rdi), %xmm\n
    .endr
    spin
    stmxcsr OUT(%rdi)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movaps %xmm\n, OUT + 64 + 16 * \n(%rdi)
    .endr
    ldmxcsr SAVED(%rdi)
    ret

function live_avx
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovaps IN + 32 * \n(%rdi), %ymm\n
    .endr
    spin
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovaps %ymm\n, OUT + 32 * \n(%rdi)
    .endr
    vzeroupper
    ret

function live_avx512
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovaps IN + 64 * \n(%rdi), %zmm\n
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovaps IN + 64 * \n(%rdi), %zmm\n
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq IN + 2048 + 8 * \n(%rdi), %k\n
    .endr
    spin
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovaps %zmm\n, OUT + 64 * \n(%rdi)
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovaps %zmm\n, OUT + 64 * \n(%rdi)
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq %k\n, OUT + 2048 + 8 * \n(%rdi)
    .endr
    vzeroupper
    ret

function live_pkru
    xor %ecx, %ecx
    rdpkru
    mov %eax, SAVED(%rdi)
    xor %edx, %edx
    mov IN(%rdi), %eax
    wrpkru
    spin
    xor %ecx, %ecx
    rdpkru
    mov %eax, OUT(%rdi)
    xor %edx, %edx
    mov SAVED(%rdi), %eax
    wrpkru
    ret

function live_gs
    mov $158, %eax /* arch_prctl */
    mov IN(%rdi), %rsi
    push %rdi
    mov $0x1001, %edi /* ARCH_SET_GS */
    syscall
    pop %rdi
    spin
    mov %gs:0, %rax
    mov %rax, OUT(%rdi)
    ret

    .section .note.GNU-stack, "", @progbits
