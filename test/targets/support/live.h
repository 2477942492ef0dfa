/*
 * Loops that keep live values in registers. Each function loads a register file from `in`, spins
 * until `stop` is set or `rounds` have passed, and stores the file into `out`; between the two no
 * instruction touches it. Whoever stops the thread in the loop holds these registers in hand.
 */
#ifndef LIVE_H
#define LIVE_H

#include <stdint.h>

struct live {
    uint32_t stop;
    uint32_t reserved;
    uint64_t progress; /* rounds so far, for the world to see */
    uint64_t rounds;   /* rounds to go; counted down */
    uint64_t stack;    /* live_general: what rsp is in the loop */
    uint64_t saved[6];
    uint64_t unused[2];
    _Alignas(64) unsigned char in[64 * 40];
    _Alignas(64) unsigned char out[64 * 40];
};

/* rax, rbx, rcx, rdx, rsi, rbp, r8 to r15 (14 words), then the flags: DF and AC are set. */
void live_general(struct live *live);
/* Control word (2 bytes), and at 16 eight stack registers of 10 bytes, 16 bytes apart. */
void live_x87(struct live *live);
/* MXCSR (4 bytes), and at 64 sixteen registers of 16 bytes. */
void live_sse(struct live *live);
/* Sixteen registers of 32 bytes. */
void live_avx(struct live *live);
/* Thirty-two registers of 64 bytes, then eight mask registers of 8 bytes. */
void live_avx512(struct live *live);
/* PKRU (4 bytes). */
void live_pkru(struct live *live);
/* gs base: in: the wanted base; out: the word it points to. */
void live_gs(struct live *live);

#endif
