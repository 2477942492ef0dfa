/*
 * Vector registers. A captured XSAVE area has the layout of the processor that it came from; the
 * frame that rt_sigreturn(2) reads must have this one's. See "Intel SDM volume 1, chapter 13" and
 * arch/x86/kernel/fpu/signal.c for what the kernel checks; what it does not like, it silently takes
 * as x87 and SSE state only.
 */
#include "interpreter.h"

enum {
    LEGACY = 512,
    HEADER = 64,
    MXCSR = 24,
    MXCSR_MASK = 28,
    DEFAULT_MXCSR_MASK = 0xffbf,
    SW_RESERVED = 464,
    MAGIC1 = 0x46505853,
    MAGIC2 = 0x46505845,
    COMPONENTS = 64,
    XSAVE_LEAF = 0xd,
    OSXSAVE = 1 << 27,
    ON_STACK = 2048,     /* AVX, AVX-512 and PKRU; only AMX needs more */
    FRAME_FPSTATE = 224, /* in struct ucontext: uc_mcontext.fpstate */
    ARCH_REQ_XCOMP_PERM = 0x1023,
    TILEDATA = 18,
};

#define BIT(component) (1ull << (component))
#define TILES (BIT(17) | BIT(TILEDATA))

/* struct _fpx_sw_bytes of asm/sigcontext.h. */
struct software_bytes {
    uint32_t magic1, extended_size;
    uint64_t xfeatures;
    uint32_t xstate_size, padding[7];
};

uint64_t xcr0(void) {
    uint32_t r[4];
    cpuid(1, 0, r);
    return r[2] & OSXSAVE ? xgetbv(0) : 3;
}

/* Where this processor keeps a component; size 0 if it has none. */
static struct xstate_component local(int component) {
    uint32_t r[4];
    cpuid(XSAVE_LEAF, (uint32_t)component, r);
    return (struct xstate_component){.offset = r[1], .size = r[0]};
}

/* A bit that this processor does not know would make the kernel's FXRSTOR or XRSTOR fault. */
static int mxcsr_is_known(const unsigned char *area) {
    unsigned char image[LEGACY] __attribute__((aligned(16)));
    fxsave(image);
    uint32_t mask = *(uint32_t *)(image + MXCSR_MASK);
    return !(*(const uint32_t *)(area + MXCSR) & ~(mask ? mask : DEFAULT_MXCSR_MASK));
}

/* The components that are to be carried over: in use, and to be had here. */
static uint64_t wanted(const struct xstate_plan *plan) {
    uint64_t in_use = 3, available = xcr0();
    if (plan->size >= LEGACY + HEADER)
        in_use = *(const uint64_t *)(plan->area + LEGACY);
    if (in_use & available & BIT(TILEDATA) &&
        failed(CALL2(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILEDATA)))
        available &= ~BIT(TILEDATA);
    return in_use & available;
}

/* Checks every component; returns the bytes that they need beside the area, or an errno. */
static int64_t measure(const struct xstate_plan *plan, uint64_t components) {
    const struct xstate_component *from = (const struct xstate_component *)plan->components;
    int64_t total = 0;
    for (int i = 2; i < COMPONENTS; i++) {
        if (!(components & BIT(i)))
            continue;
        struct xstate_component to = local(i);
        if (from[i].size != to.size || (uint64_t)from[i].offset + to.size > plan->size)
            return -EINVAL;
        if ((uint64_t)to.offset + to.size + sizeof(uint32_t) > plan->capacity)
            return -ENOSPC;
        total += to.size;
    }
    return total;
}

/*
 * Offsets here may be above or below the captured ones: all components are taken out before the
 * first is put in. What the frame announces ends with the last component in use, which is never
 * more than the kernel expects; the others come back in their initial state.
 */
static void convert(const struct xstate_plan *plan, uint64_t components, unsigned char *spare) {
    const struct xstate_component *from = (const struct xstate_component *)plan->components;
    unsigned char *area = (unsigned char *)plan->area, *at = spare;
    uint32_t size = LEGACY + HEADER, magic2 = MAGIC2;
    for (int i = 2; i < COMPONENTS; i++) {
        if (components & BIT(i)) {
            copy(at, area + from[i].offset, from[i].size);
            at += from[i].size;
        }
    }
    fill(area + LEGACY, 0, plan->capacity - LEGACY);
    at = spare;
    for (int i = 2; i < COMPONENTS; i++) {
        if (components & BIT(i)) {
            struct xstate_component to = local(i);
            copy(area + to.offset, at, to.size);
            at += to.size;
            if (to.offset + to.size > size)
                size = to.offset + to.size;
        }
    }
    *(uint64_t *)(area + LEGACY) = components;
    struct software_bytes software = {.magic1 = MAGIC1,
                                      .extended_size = size + (uint32_t)sizeof magic2,
                                      .xfeatures = components | 3,
                                      .xstate_size = size};
    copy(area + SW_RESERVED, &software, sizeof software);
    copy(area + size, &magic2, sizeof magic2);
}

int64_t convert_xstate(const struct xstate_plan *plan) {
    unsigned char small[ON_STACK];
    if (plan->size < LEGACY || plan->size > plan->capacity ||
        plan->capacity < LEGACY + HEADER + sizeof(uint32_t))
        return -EINVAL;
    if (!mxcsr_is_known((const unsigned char *)plan->area))
        return -EOPNOTSUPP;
    if (xcr0() == 3) {
        /* Without XSAVE, or with nothing beyond SSE: the frame holds the legacy area alone. */
        fill((unsigned char *)plan->area + SW_RESERVED, 0, sizeof(struct software_bytes));
        return 0;
    }
    uint64_t components = wanted(plan);
    int64_t total = measure(plan, components);
    if (failed(total))
        return total;
    if (total <= ON_STACK) {
        convert(plan, components, small);
        return 0;
    }
    int64_t spare =
        CALL6(SYS_mmap, 0, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (failed(spare))
        return spare;
    convert(plan, components, (unsigned char *)spare);
    CALL2(SYS_munmap, spare, total);
    return 0;
}

/*
 * The kernel gives a thread room for AMX tiles when it first touches them, and takes a frame with
 * more than it has room for as x87 and SSE state only. So they are touched: loaded from the frame.
 */
void touch_tiles(uint64_t frame) {
    const unsigned char *area = *(const unsigned char *const *)(frame + FRAME_FPSTATE);
    if (!area || (xcr0() & TILES) != TILES)
        return;
    const struct software_bytes *software = (const struct software_bytes *)(area + SW_RESERVED);
    if (software->magic1 == MAGIC1 && software->xfeatures & BIT(TILEDATA))
        xrstor(area, TILES);
}
