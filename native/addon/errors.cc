#include "errors.h"

#include <string.h>
#include <string>

Napi::Error SystemError(Napi::Env env, int error, Napi::Value syscall) {
    const char *name = strerrorname_np(error);
    std::string code = name ? name : "E" + std::to_string(error);
    std::string call = syscall.ToString().Utf8Value();
    if (syscall.IsNumber())
        call = "system call " + call;
    Napi::Error result = Napi::Error::New(env, code + ": " + strerror(error) + ", " + call);
    result.Set("code", code);
    result.Set("errno", static_cast<double>(error));
    result.Set("syscall", syscall);
    return result;
}
