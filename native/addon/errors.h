// Errors as Node's own system errors look: code 'ENOENT', errno as a positive number, syscall.
#ifndef PROC2ELF_ERRORS_H
#define PROC2ELF_ERRORS_H

#include <napi.h>

Napi::Error SystemError(Napi::Env env, int error, Napi::Value syscall);

#endif
