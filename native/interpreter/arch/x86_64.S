/* Fixed entry points of the blob, and what must be written in assembler. */
    .section .entry, "ax"

    /* 0x00: e_entry. rsp is the stack as execve leaves it. */
    .globl thaw_entry
thaw_entry:
    mov %rsp, %rbx
    jmp switch_stack

    /* 0x10: the query. rdi is its address, rsi the signal to end it by or 0, rsp a stack for it. */
    .org 0x10
    .globl query_entry
query_entry:
    cld
    jmp run_query

    /* 0x40: address of the thaw header, filled in by the planner. */
    .org 0x40
    .globl header_address
    .hidden header_address
header_address:
    .quad 0

    /* 0x48: size of the image's file, filled in by the planner. */
    .org 0x48
    .globl image_size
    .hidden image_size
image_size:
    .quad 0

    .text
switch_stack:
    cld
    xor %ebp, %ebp
    mov %rbx, %rdi
    call require_whole      /* on the kernel's stack: ours may not be in the file */
    mov %rbx, %rdi
    mov header_address(%rip), %rax
    mov HEADER_STACK_TOP(%rax), %rsp
    and $-16, %rsp
    call thaw_main
    hlt

    /* int64_t clone_on(flags, stack_top, entry, argument): plain clone(2). */
    .globl clone_on
    .hidden clone_on
clone_on:
    and $-16, %rsi
    sub $16, %rsi
    mov %rdx, 0(%rsi)
    mov %rcx, 8(%rsi)
    xor %edx, %edx
    xor %r10d, %r10d
    xor %r8d, %r8d
    mov $56, %eax
    syscall
    test %rax, %rax
    jz task_start
    ret

    /* int64_t clone3_on(arguments, size, entry, argument): stack and stack_size are in arguments. */
    .globl clone3_on
    .hidden clone3_on
clone3_on:
    mov 40(%rdi), %r8
    add 48(%rdi), %r8
    sub $16, %r8
    mov %rdx, 0(%r8)
    mov %rcx, 8(%r8)
    subq $16, 48(%rdi)
    mov $435, %eax
    syscall
    test %rax, %rax
    jz task_start
    ret

task_start:
    xor %ebp, %ebp
    pop %rax
    pop %rdi
    call *%rax
    hlt

    /*
     * The last code of all, copied into the trampoline page. Behind it lie pairs {start, size} to
     * unmap; rsi: their number, rdi: the frame. It uses no stack, and nothing but registers and the
     * page it runs in.
     */
    .globl last_code
    .hidden last_code
    .globl last_code_end
    .hidden last_code_end
last_code:
    mov %rdi, %rbp
    mov %rsi, %r12
    lea last_pairs(%rip), %rbx
1:
    test %r12, %r12
    jz 2f
    mov 0(%rbx), %rdi
    mov 8(%rbx), %rsi
    mov $11, %eax           /* munmap */
    syscall
    add $16, %rbx
    dec %r12
    jmp 1b
2:
    mov %rbp, %rsp
    mov $15, %eax           /* rt_sigreturn */
    syscall
    hlt
    .balign 16
last_pairs:                 /* the pairs are copied behind the code */
last_code_end:

    /*
     * The way out of a query for a thread whose system call is to be restarted, should the tracer be
     * gone: all registers but rcx and r11, which the call destroys anyway. rdi: user_regs_struct.
     */
    .globl load_registers
    .hidden load_registers
load_registers:
    mov 0(%rdi), %r15
    mov 8(%rdi), %r14
    mov 16(%rdi), %r13
    mov 24(%rdi), %r12
    mov 32(%rdi), %rbp
    mov 40(%rdi), %rbx
    mov 56(%rdi), %r10
    mov 64(%rdi), %r9
    mov 72(%rdi), %r8
    mov 80(%rdi), %rax
    mov 96(%rdi), %rdx
    mov 104(%rdi), %rsi
    pushq 144(%rdi)         /* the flags; this stack is the query's */
    popfq
    mov 128(%rdi), %rcx
    mov 152(%rdi), %rsp
    mov 112(%rdi), %rdi
    jmp *%rcx

    .section .note.GNU-stack, "", @progbits
