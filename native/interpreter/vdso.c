/* The vDSO: out of the way first, then to where the frozen one lay, or behind the frozen one. */
#include "interpreter.h"

enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2 };
enum { PT_LOAD = 1, PT_DYNAMIC = 2, DT_HASH = 4, DT_STRTAB = 5, DT_SYMTAB = 6 };

/* The kernel's mappings: [vvar], [vvar_vclock] and [vdso] lie side by side. */
struct span {
    uint64_t start, vdso, end;
};

static uint64_t hex(const char **at) {
    uint64_t value = 0;
    for (;; ++*at) {
        char c = **at;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return value;
    }
}

static void note_mapping(const char *text, struct span *span) {
    uint64_t start = hex(&text), end = (text++, hex(&text));
    const char *name = text;
    /* A file's path may hold a bracket, too, but begins with a slash. */
    while (*name && *name != '[' && *name != '/')
        name++;
    if (same(name, "[vvar", 5) && (!span->start || start < span->start))
        span->start = start;
    if (same(name, "[vdso]", 6)) {
        span->vdso = start;
        span->end = end;
    }
}

/* Reads /proc/self/maps line by line. Lines are longer than the buffer only for long paths. */
static int find_by_proc(struct span *span) {
    char text[512];
    uint32_t used = 0;
    int skip = 0;
    int64_t got, fd = CALL4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
    if (failed(fd))
        return 0;
    while ((got = CALL3(SYS_read, fd, text + used, sizeof text - 1 - used)) > 0) {
        used += (uint32_t)got;
        for (;;) {
            uint32_t i = 0;
            while (i < used && text[i] != '\n')
                i++;
            if (i == used)
                break;
            text[i] = 0;
            if (!skip)
                note_mapping(text, span);
            skip = 0;
            used -= i + 1;
            for (uint32_t k = 0; k < used; k++)
                text[k] = text[i + 1 + k];
        }
        if (used == sizeof text - 1) {
            used = 0;
            skip = 1;
        }
    }
    CALL1(SYS_close, fd);
    return span->vdso != 0;
}

struct elf {
    uint64_t base, bias, dynamic, size;
};

static void open_elf(uint64_t base, struct elf *elf) {
    const unsigned char *header = (const unsigned char *)base;
    uint64_t phoff = *(const uint64_t *)(header + 32);
    uint16_t phnum = *(const uint16_t *)(header + 56);
    *elf = (struct elf){.base = base};
    for (uint16_t i = 0; i < phnum; i++) {
        const unsigned char *ph = header + phoff + i * 56u;
        uint32_t type = *(const uint32_t *)ph;
        if (type == PT_LOAD) {
            elf->bias = *(const uint64_t *)(ph + 16) - *(const uint64_t *)(ph + 8);
            elf->size = *(const uint64_t *)(ph + 8) + *(const uint64_t *)(ph + 40);
        } else if (type == PT_DYNAMIC) {
            elf->dynamic = base + *(const uint64_t *)(ph + 8);
        }
    }
}

/* Without /proc: the vDSO's size from its headers, the vvar pages by trying what is mapped below.
 */
static int find_by_probing(struct span *span) {
    struct elf elf;
    unsigned char there;
    span->vdso = header()->sysinfo_ehdr;
    open_elf(span->vdso, &elf);
    span->end = span->vdso + (elf.size + PAGE - 1) / PAGE * PAGE;
    span->start = span->vdso;
    while (!failed(CALL3(SYS_mincore, span->start - PAGE, PAGE, &there)))
        span->start -= PAGE;
    return 1;
}

static int64_t move(uint64_t from, uint64_t to, uint64_t size) {
    int64_t result = CALL5(SYS_mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    return failed(result) ? result : 0;
}

/* [vvar] may be several mappings, and mremap takes one at a time: page by page where it must be. */
static int64_t move_data(uint64_t from, uint64_t to, uint64_t size) {
    int64_t result = move(from, to, size);
    if (result != -EFAULT /* more than one mapping */)
        return result;
    for (uint64_t done = 0; done < size;) {
        uint64_t part = size - done;
        while (part && (result = move(from + done, to + done, part)) == -EFAULT)
            part -= PAGE;
        if (result)
            return result;
        done += part;
    }
    return 0;
}

static int64_t move_span(const struct span *span, uint64_t to) {
    uint64_t data = span->vdso - span->start;
    int64_t result = data ? move_data(span->start, to, data) : 0;
    return result ? result : move(span->vdso, to + data, span->end - span->vdso);
}

/* Where the kernel has put its own. */
static int find(struct span *span) {
    *span = (struct span){0, 0, 0};
    if (!header()->sysinfo_ehdr)
        return 0;
    if (!find_by_proc(span) && !find_by_probing(span))
        return 0;
    if (!span->start)
        span->start = span->vdso;
    return 1;
}

int64_t park_vdso(uint64_t address, uint64_t size) {
    struct span span;
    if (!find(&span)) {
        set_flag(FLAG_FOREIGN_VDSO);
        return 0;
    }
    if (span.end - span.start > size)
        return -ENOMEM;
    int64_t result = move_span(&span, address);
    if (result)
        return result;
    header()->sysinfo_ehdr = address + (span.vdso - span.start);
    header()->parked[0] = address;
    header()->parked[1] = address + (span.vdso - span.start);
    header()->parked[2] = address + (span.end - span.start);
    return 0;
}

static uint64_t find_symbol(const struct elf *elf, const char *name) {
    uint64_t hash = 0, strings = 0, symbols = 0;
    if (!elf->dynamic)
        return 0;
    for (const uint64_t *d = (const uint64_t *)elf->dynamic; d[0]; d += 2) {
        uint64_t place = elf->base + d[1] - elf->bias;
        if (d[0] == DT_HASH)
            hash = place;
        else if (d[0] == DT_STRTAB)
            strings = place;
        else if (d[0] == DT_SYMTAB)
            symbols = place;
    }
    if (!hash || !strings || !symbols)
        return 0;
    uint32_t count = ((const uint32_t *)hash)[1];
    for (uint32_t i = 1; i < count; i++) {
        const unsigned char *symbol = (const unsigned char *)symbols + i * 24u;
        if (*(const uint16_t *)(symbol + 6) &&
            equal((const char *)strings + *(const uint32_t *)symbol, name))
            return elf->base + *(const uint64_t *)(symbol + 8) - elf->bias;
    }
    return 0;
}

/* Bytes from an entry to whatever comes next: another entry, or the end. */
static uint64_t room(const struct vdso_plan *plan, uint32_t offset) {
    const struct vdso_entry *entries = (const struct vdso_entry *)plan->entries;
    uint64_t end = plan->size;
    for (uint64_t i = 0; i < plan->entry_count; i++)
        if (entries[i].offset > offset && entries[i].offset < end)
            end = entries[i].offset;
    return offset < end ? end - offset : 0;
}

/*
 * Makes an entry of the frozen vDSO jump to this kernel's, or make the system call itself. Where
 * there is room for neither, or no such call, it stays as it is: on its vvar page of zeros the
 * frozen code finds no clock that it may read, and makes the system call.
 */
static void patch(unsigned char *entry, uint64_t space, uint64_t target, int32_t number) {
    if (target && space >= 12) {
        entry[0] = 0x48; /* movabs $target, %rax */
        entry[1] = 0xb8;
        copy(entry + 2, &target, 8);
        entry[10] = 0xff; /* jmp *%rax */
        entry[11] = 0xe0;
    } else if (number >= 0 && space >= 8) {
        entry[0] = 0xb8; /* mov $number, %eax */
        copy(entry + 1, &number, 4);
        entry[5] = 0x0f; /* syscall */
        entry[6] = 0x05;
        entry[7] = 0xc3; /* ret */
    }
}

static int64_t map(uint64_t address, uint64_t size, int prot) {
    int64_t result =
        CALL6(SYS_mmap, address, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return failed(result) ? result : 0;
}

static int64_t place_frozen(const struct vdso_plan *plan) {
    struct elf elf = {.dynamic = 0};
    const struct vdso_entry *entries = (const struct vdso_entry *)plan->entries;
    int64_t result = map(plan->address, plan->size, PROT_READ | PROT_WRITE);
    if (result)
        return result;
    copy((void *)plan->address, (const void *)plan->image, plan->size);
    if (header()->sysinfo_ehdr)
        open_elf(header()->sysinfo_ehdr, &elf);
    for (uint64_t i = 0; i < plan->entry_count; i++)
        patch((unsigned char *)plan->address + entries[i].offset, room(plan, entries[i].offset),
              find_symbol(&elf, (const char *)entries[i].name), entries[i].number);
    if (plan->vvar && (result = map(plan->vvar, plan->vvar_size, PROT_READ)))
        return result;
    return CALL3(SYS_mprotect, plan->address, plan->size, PROT_READ | PROT_EXEC);
}

int64_t place_vdso(const struct vdso_plan *plan) {
    const uint64_t *parked = header()->parked;
    struct span span = {parked[0], parked[1], parked[2]};
    uint64_t data = span.vdso - span.start;
    if (!plan->size)
        return 0;
    if (!has_flag(FLAG_FOREIGN_VDSO) && span.end - span.vdso == plan->size &&
        data == plan->vvar_size && (!data || plan->vvar + data == plan->address) &&
        same((const void *)span.vdso, (const void *)plan->image, plan->size))
        return move_span(&span, plan->address - data);
    set_flag(FLAG_FOREIGN_VDSO);
    return place_frozen(plan);
}
