#include "verbs.h"

#include <cpuid.h>

Napi::Value Cpuid(const Napi::CallbackInfo &info) {
    uint32_t leaf = info[0].ToNumber().Uint32Value();
    uint32_t subleaf = info[1].ToNumber().Uint32Value();
    uint32_t registers[4];
    __cpuid_count(leaf, subleaf, registers[0], registers[1], registers[2], registers[3]);
    Napi::Array result = Napi::Array::New(info.Env(), 4);
    for (uint32_t i = 0; i < 4; i++)
        result[i] = Napi::Number::New(info.Env(), registers[i]);
    return result;
}

// Without OSXSAVE xgetbv is an invalid instruction, and x87 and SSE are all there is.
Napi::Value Xcr0(const Napi::CallbackInfo &info) {
    uint32_t a, b, c, d;
    __cpuid(1, a, b, c, d);
    uint64_t value = 3;
    if (c & bit_OSXSAVE) {
        uint32_t low, high;
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        value = static_cast<uint64_t>(high) << 32 | low;
    }
    return Napi::BigInt::New(info.Env(), value);
}
