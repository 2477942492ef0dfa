#include "errors.h"
#include "verbs.h"

#include <errno.h>
#include <unistd.h>

static const size_t MAX_ARGUMENTS = 6;

static long AddressOf(Napi::TypedArray array) {
    // Asking for the buffer also moves a small array's bytes off V8's heap, where they stay put.
    auto *data = static_cast<uint8_t *>(array.ArrayBuffer().Data());
    return reinterpret_cast<long>(data + array.ByteOffset());
}

// A number, or memory: the address of a typed array's first byte.
static long Argument(Napi::Value value) {
    bool lossless;
    if (value.IsBigInt())
        return value.As<Napi::BigInt>().Int64Value(&lossless); // modulo 2^64: addresses pass
    if (value.IsNumber())
        return value.As<Napi::Number>().Int64Value();
    if (value.IsTypedArray())
        return AddressOf(value.As<Napi::TypedArray>());
    throw Napi::TypeError::New(value.Env(), "an argument is a number, a bigint or a Uint8Array");
}

Napi::Value Syscall(const Napi::CallbackInfo &info) {
    long arguments[MAX_ARGUMENTS] = {};
    if (info.Length() < 1 || info.Length() > 1 + MAX_ARGUMENTS || !info[0].IsNumber())
        throw Napi::TypeError::New(info.Env(), "syscall(number, up to six arguments)");
    for (size_t i = 1; i < info.Length(); i++)
        arguments[i - 1] = Argument(info[i]);

    long number = info[0].As<Napi::Number>().Int64Value();
    errno = 0;
    long result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                          arguments[4], arguments[5]);
    if (result == -1 && errno != 0)
        throw SystemError(info.Env(), errno, info[0]);
    return Napi::BigInt::New(info.Env(), static_cast<int64_t>(result));
}

Napi::Value Address(const Napi::CallbackInfo &info) {
    if (!info[0].IsTypedArray())
        throw Napi::TypeError::New(info.Env(), "address(typed array)");
    return Napi::BigInt::New(info.Env(),
                             static_cast<int64_t>(AddressOf(info[0].As<Napi::TypedArray>())));
}
