# A 32-bit program, without any library: says ready, and waits for ever.
        .globl _start
_start: mov     $4, %eax                # write
        mov     $1, %ebx
        mov     $line, %ecx
        mov     $6, %edx
        int     $0x80
again:  mov     $29, %eax               # pause
        int     $0x80
        jmp     again
line:   .ascii  "ready\n"
