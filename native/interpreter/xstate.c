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
    SW_RESERVED = 464,
    MAGIC1 = 0x46505853,
    MAGIC2 = 0x46505845,
    COMPONENTS = 64,
    XSAVE_LEAF = 0xd,
    OSXSAVE = 1 << 27,
    MOST = 12288, /* more than AMX needs */
};

/* Components that user space owns: x87, SSE, AVX, AVX-512, PKRU, AMX. */
#define USER_COMPONENTS ((uint64_t)(7 | 7 << 5 | 1 << 9 | 3 << 17))

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

static void clear(unsigned char *at, uint64_t size) {
    for (uint64_t i = 0; i < size; i++)
        at[i] = 0;
}

/* Where this processor keeps a component; size 0 if it has none. */
static struct xstate_component local(int component) {
    uint32_t r[4];
    cpuid(XSAVE_LEAF, (uint32_t)component, r);
    return (struct xstate_component){.offset = r[1], .size = r[0]};
}

/*
 * Moves components one after the other. Offsets here may be above or below the captured ones, so
 * the captured area is first copied out of the way, onto memory that the kernel gives for it.
 */
static int64_t convert(const struct xstate_plan *plan, const unsigned char *captured) {
    const struct xstate_component *from = (const struct xstate_component *)plan->components;
    unsigned char *area = (unsigned char *)plan->area;
    uint64_t in_use = plan->size >= LEGACY + HEADER ? *(const uint64_t *)(captured + LEGACY) : 3;
    uint64_t features = 0, size = LEGACY + HEADER, available = xcr0() & USER_COMPONENTS;
    clear(area + LEGACY, plan->capacity - LEGACY);
    for (int i = 0; i < COMPONENTS; i++) {
        uint64_t bit = 1ull << i;
        if (!(available & bit) || !(in_use & bit))
            continue;
        if (i >= 2) {
            struct xstate_component to = local(i);
            if (!from[i].size || from[i].size != to.size ||
                from[i].offset + from[i].size > plan->size ||
                to.offset + to.size + 4 > plan->capacity)
                return -EINVAL;
            copy(area + to.offset, captured + from[i].offset, to.size);
            if (to.offset + to.size > size)
                size = to.offset + to.size;
        }
        features |= bit;
    }
    *(uint64_t *)(area + LEGACY) = features;
    struct software_bytes software = {.magic1 = MAGIC1,
                                      .extended_size = (uint32_t)size + 4,
                                      .xfeatures = features | 3,
                                      .xstate_size = (uint32_t)size};
    copy(area + SW_RESERVED, &software, sizeof software);
    uint32_t magic2 = MAGIC2;
    copy(area + size, &magic2, 4);
    return 0;
}

int64_t convert_xstate(const struct xstate_plan *plan) {
    if (plan->size < LEGACY || plan->size > MOST || plan->capacity < LEGACY + HEADER + 4)
        return -EINVAL;
    if (xcr0() == 3) {
        /* A processor without XSAVE: the frame holds the legacy area alone. */
        clear((unsigned char *)plan->area + SW_RESERVED, sizeof(struct software_bytes));
        return 0;
    }
    int64_t spare = CALL6(SYS_mmap, 0, MOST, 3, 0x22, -1, 0);
    if (failed(spare))
        return spare;
    copy((void *)spare, (const void *)plan->area, plan->size);
    int64_t result = convert(plan, (const unsigned char *)spare);
    CALL2(SYS_munmap, spare, MOST);
    return result;
}
