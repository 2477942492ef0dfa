/* Bytes and strings, without a C library. */
#include "interpreter.h"

void copy(void *to, const void *from, uint64_t size) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

void fill(void *to, int byte, uint64_t size) {
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
}

int same(const void *a, const void *b, uint64_t size) {
    const unsigned char *left = a, *right = b;
    for (uint64_t i = 0; i < size; i++)
        if (left[i] != right[i])
            return 0;
    return 1;
}

uint64_t length(const char *text) {
    uint64_t size = 0;
    while (text[size])
        size++;
    return size;
}

int equal(const char *a, const char *b) {
    uint64_t size = length(a);
    return size == length(b) && same(a, b, size);
}

struct iovec {
    uint64_t base;
    uint64_t size;
};

/* Reads memory that may not be there, without faulting. Returns 0 or an errno below zero. */
int64_t read_self(void *to, uint64_t from, uint64_t size) {
    struct iovec local = {(uint64_t)to, size}, remote = {from, size};
    int64_t got = CALL6(SYS_process_vm_readv, CALL0(SYS_getpid), &local, 1, &remote, 1, 0);
    return failed(got) ? got : got == (int64_t)size ? 0 : -EFAULT;
}

/* Writes memory that may not be there or not be writable, without faulting. */
int64_t write_self(uint64_t to, const void *from, uint64_t size) {
    struct iovec local = {(uint64_t)from, size}, remote = {to, size};
    int64_t put = CALL6(SYS_process_vm_writev, CALL0(SYS_getpid), &local, 1, &remote, 1, 0);
    return failed(put) ? put : put == (int64_t)size ? 0 : -EFAULT;
}

/* gcc may call these for what it takes for a copy or a fill. */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

void *memcpy(void *to, const void *from, size_t size) {
    copy(to, from, size);
    return to;
}

void *memset(void *to, int byte, size_t size) {
    fill(to, byte, size);
    return to;
}
