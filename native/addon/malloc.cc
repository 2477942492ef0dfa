#include "verbs.h"

#include <malloc.h>

// glibc keeps what was freed, and maps less and less by itself the more was freed: both until it is
// told otherwise.

Napi::Value ReturnFreed(const Napi::CallbackInfo &info) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return info.Env().Undefined();
}

Napi::Value MapLargeBlocks(const Napi::CallbackInfo &info) {
#ifdef __GLIBC__
    const int size = 128 << 10; // the one to begin with
    mallopt(M_MMAP_THRESHOLD, size);
#endif
    return info.Env().Undefined();
}
