/*
 * The net under a call that is injected at a gadget: should this program die before the thread is
 * put back, the thread falls into rt_sigreturn(2) on a frame with all that it had, and goes on as
 * if nothing had been. The gadget is `syscall; ret`; the word that it returns to, and the frame
 * behind it, lie in [stack]: below the red zone of a thread that runs there, else at its lower end
 * if that was never used.
 */
#include "tracer.h"

#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define RED_ZONE 128

/* What the kernel pushes for a handler: asm/sigcontext.h, asm-generic/ucontext.h. */
struct signal_frame {
    uint64_t pretcode;
    uint64_t uc_flags, uc_link;
    uint64_t ss_sp;
    uint32_t ss_flags, padding;
    uint64_t ss_size;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2;
    uint64_t fpstate;
    uint64_t reserved[8];
    uint64_t mask;
};
_Static_assert(sizeof(struct signal_frame) == 8 + 304, "struct ucontext has 304 bytes");

#define UC_FP_XSTATE 1
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4
/* rt_sigreturn(2) leaves the alternate stack alone if this one is invalid. */
#define NO_STACK 0x7fff

/* struct _fpx_sw_bytes of asm/sigcontext.h, in the unused end of the legacy area. */
#define SW_BYTES 464
#define LEGACY_SIZE 512

static uint64_t net_size(const struct thread *thread) {
    return (sizeof(struct signal_frame) + thread->xstate_size + sizeof(uint32_t) + 2 * 64) & ~63ull;
}

/* Nets of a tracer that died are known by these words, behind the registers. */
static const uint64_t mark[2] = {0x666c6532636f7270,
                                 0x74656e20666f2061}; /* "proc2elf", "a of net" read backwards */

static bool move(bool write, uint64_t address, void *bytes, size_t size) {
    struct iovec here = {bytes, size};
    struct iovec there = {(void *)address, size};
    ssize_t moved = write ? process_vm_writev(target.pid, &here, 1, &there, 1, 0)
                          : process_vm_readv(target.pid, &here, 1, &there, 1, 0);
    return moved == (ssize_t)size;
}

/* struct rseq_cs of linux/rseq.h. */
struct critical_section {
    uint32_t version, flags;
    uint64_t start, length, abort;
};

/* Where the kernel would have set down a thread that was stopped in a restartable sequence. */
static uint64_t out_of_sequence(const struct thread *thread, uint64_t rip) {
    struct critical_section section;
    bool within = thread->rseq_cs && move(false, thread->rseq_value, &section, sizeof section) &&
                  rip - section.start < section.length;
    return within ? section.abort : rip;
}

/*
 * The registers as if the kernel had decided to make an interrupted call again. rt_sigreturn(2)
 * forgets what restart_syscall(2) would go on with: such a call starts anew, with the whole of its
 * time.
 */
static struct user_regs_struct restarted(const struct thread *thread) {
    struct user_regs_struct registers = thread->released;
    if ((long)registers.orig_rax < 0)
        registers.rip = out_of_sequence(thread, registers.rip);
    if ((long)registers.orig_rax < 0 || !is_restart(registers.rax))
        return registers;
    registers.rip -= 2;
    registers.rax = registers.orig_rax;
    if (registers.orig_rax == SYS_restart_syscall && thread->tid == target.net.tid &&
        target.net.call >= 0)
        registers.rax = target.net.call;
    return registers;
}

static void fill_frame(struct signal_frame *frame, const struct thread *thread) {
    const struct user_regs_struct r = restarted(thread);
    *frame = (struct signal_frame){
        .pretcode = target.net.restorer,
        .uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        .ss_flags = NO_STACK,
        .r8 = r.r8,
        .r9 = r.r9,
        .r10 = r.r10,
        .r11 = r.r11,
        .r12 = r.r12,
        .r13 = r.r13,
        .r14 = r.r14,
        .r15 = r.r15,
        .rdi = r.rdi,
        .rsi = r.rsi,
        .rbp = r.rbp,
        .rbx = r.rbx,
        .rdx = r.rdx,
        .rax = r.rax,
        .rcx = r.rcx,
        .rsp = r.rsp,
        .rip = r.rip,
        .eflags = r.eflags,
        .cs = r.cs,
        .gs = r.gs,
        .fs = r.fs,
        .ss = r.ss,
        .reserved = {mark[0], mark[1]},
        .mask = thread->mask,
    };
}

/*
 * The size up to the last component that is in use. What ptrace gives has room for all that the
 * processor has; the kernel takes of a frame that is larger than this thread may have (AMX without
 * permission) nothing but the legacy part.
 */
static uint32_t used_size(const struct thread *thread) {
    uint64_t in_use;
    uint32_t used = LEGACY_SIZE + 64; /* with the header */
    memcpy(&in_use, (uint8_t *)thread->xstate + LEGACY_SIZE, sizeof in_use);
    for (unsigned i = 2; i < 63; i++) {
        unsigned size, offset, flags, unused;
        if (!(in_use >> i & 1))
            continue;
        __cpuid_count(0xd, i, size, offset, flags, unused);
        if (offset + size > used)
            used = offset + size;
    }
    return used < thread->xstate_size ? used : thread->xstate_size;
}

/* The XSAVE area as ptrace gives it becomes that of a signal frame. */
static void fill_xstate(uint8_t *area, const struct thread *thread) {
    uint32_t size = used_size(thread);
    uint64_t features;
    memcpy(area, thread->xstate, size);
    memcpy(&features, area + LEGACY_SIZE, sizeof features);
    features |= 3; /* x87 and SSE */
    const struct {
        uint32_t magic1, extended_size;
        uint64_t features;
        uint32_t xstate_size;
    } sw = {FP_XSTATE_MAGIC1, size + sizeof(uint32_t), features, size};
    const uint32_t magic2 = FP_XSTATE_MAGIC2;
    memset(area + SW_BYTES, 0, LEGACY_SIZE - SW_BYTES);
    memcpy(area + SW_BYTES, &sw, sizeof sw);
    memcpy(area + size, &magic2, sizeof magic2);
}

static bool all_zero(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* XRSTOR wants 64-byte alignment; a place has it, and the frame lies right before the area. */
static uint64_t area_in(uint64_t place) {
    return (place + sizeof(struct signal_frame) + 63) & ~63ull;
}

/* Whether the place was never used, or only for a net that was left behind, which is taken away. */
static bool clean(uint64_t place, uint8_t *former, size_t size) {
    struct signal_frame frame;
    memcpy(&frame, former + (area_in(place) - sizeof frame - place), sizeof frame);
    if (memcmp(frame.reserved, mark, sizeof mark) == 0)
        memset(former, 0, size);
    return all_zero(former, size);
}

/* A thread that has yet to fall into a net of a tracer that died: it was in a group stop, say. */
static bool in_use(uint64_t place, uint64_t size) {
    for (size_t i = 0; i < target.count; i++)
        if (target.threads[i]->released.rsp - place <= size)
            return true;
    return false;
}

/* Finds `size` bytes of the stack that nobody misses, and reads what is there; 0: none. */
static uint64_t find_place(const struct thread *thread, uint64_t size, uint8_t *former) {
    const struct net *net = &target.net;
    uint64_t rsp = thread->released.rsp;
    if (rsp > net->low && rsp <= net->high) {
        uint64_t top = (rsp - RED_ZONE) & ~63ull;
        bool fits = top > net->low && top - net->low >= size;
        return fits && move(false, top - size, former, size) ? top - size : 0;
    }
    bool unused = !in_use(net->low, size) && net->high - net->low >= size &&
                  move(false, net->low, former, size) && clean(net->low, former, size);
    return unused ? net->low : 0;
}

uint64_t net_spread(const struct thread *thread, struct spread *spread) {
    static uint8_t bytes[sizeof(struct signal_frame) + MAX_XSTATE + 256];
    spread->size = 0;
    if (!target.net.restorer || thread->xstate_size <= LEGACY_SIZE + 64)
        return 0;
    uint64_t size = net_size(thread);
    uint64_t place = find_place(thread, size, spread->former);
    if (!place)
        return 0;
    uint64_t area = area_in(place);
    uint64_t frame = area - sizeof(struct signal_frame);
    struct signal_frame content;
    fill_frame(&content, thread);
    content.fpstate = area;
    memset(bytes, 0, size);
    memcpy(bytes + (frame - place), &content, sizeof content);
    fill_xstate(bytes + (area - place), thread);
    if (!move(true, place, bytes, size))
        return 0;
    spread->address = place;
    spread->size = size;
    return frame;
}

void net_gather(struct spread *spread) {
    if (spread->size)
        move(true, spread->address, spread->former, spread->size);
    spread->size = 0;
}
