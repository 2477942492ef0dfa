#include "verbs.h"

#include <string.h>

// The blob that embed.sh built from native/interpreter.
extern "C" const uint8_t interpreter_start[];
extern "C" const uint8_t interpreter_end[];

// A copy: the caller patches it.
static Napi::Value Interpreter(const Napi::CallbackInfo &info) {
    size_t size = interpreter_end - interpreter_start;
    Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), size);
    memcpy(bytes.Data(), interpreter_start, size);
    return bytes;
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
    exports["interpreter"] = Napi::Function::New(env, Interpreter, "interpreter");
    exports["syscall"] = Napi::Function::New(env, Syscall, "syscall");
    exports["address"] = Napi::Function::New(env, Address, "address");
    exports["copy"] = Napi::Function::New(env, Copy, "copy");
    exports["cpuid"] = Napi::Function::New(env, Cpuid, "cpuid");
    exports["xcr0"] = Napi::Function::New(env, Xcr0, "xcr0");
    exports["spawnTracer"] = Napi::Function::New(env, SpawnTracer, "spawnTracer");
    exports["reap"] = Napi::Function::New(env, Reap, "reap");
    exports["outlive"] = Napi::Function::New(env, Outlive, "outlive");
    exports["pty"] = Napi::Function::New(env, Pty, "pty");
    exports["returnFreed"] = Napi::Function::New(env, ReturnFreed, "returnFreed");
    exports["mapLargeBlocks"] = Napi::Function::New(env, MapLargeBlocks, "mapLargeBlocks");
    return exports;
}

NODE_API_MODULE(proc2elf, Init)
