// The verbs of the addon, one file each.
#ifndef PROC2ELF_VERBS_H
#define PROC2ELF_VERBS_H

#include <napi.h>

Napi::Value Syscall(const Napi::CallbackInfo &info);
Napi::Value Address(const Napi::CallbackInfo &info);
Napi::Value Copy(const Napi::CallbackInfo &info);
Napi::Value Cpuid(const Napi::CallbackInfo &info);
Napi::Value Xcr0(const Napi::CallbackInfo &info);
Napi::Value SpawnTracer(const Napi::CallbackInfo &info);
Napi::Value Reap(const Napi::CallbackInfo &info);
Napi::Value Outlive(const Napi::CallbackInfo &info);
Napi::Value Pty(const Napi::CallbackInfo &info);
Napi::Value ReturnFreed(const Napi::CallbackInfo &info);
Napi::Value MapLargeBlocks(const Napi::CallbackInfo &info);

#endif
