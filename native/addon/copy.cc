#include "errors.h"
#include "transfer.h"
#include "verbs.h"

#include <errno.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

class CopyWorker : public Napi::AsyncWorker {
  public:
    CopyWorker(Napi::Env env, Transfer &&transfer, Napi::Object progress)
        : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)),
          transfer_(std::move(transfer)), progress_(Napi::Persistent(progress)) {}

    Napi::Promise Promise() {
        return deferred_.Promise();
    }

  protected:
    void Execute() override {
        Source &from = transfer_.from;
        if (from.pid > 0)
            from.pidfd = syscall(SYS_pidfd_open, from.pid, 0); // if not: the slower way does
        try {
            ::Execute(transfer_);
        } catch (const std::system_error &error) { // no thread to be had
            transfer_.error = error.code().value();
            transfer_.failed = "clone";
        } catch (const std::bad_alloc &) {
            transfer_.error = ENOMEM;
            transfer_.failed = "malloc";
        }
        if (from.pidfd >= 0)
            close(from.pidfd);
    }

    void OnOK() override {
        Napi::Env env = Env();
        if (transfer_.error) {
            Napi::Value call = Napi::String::New(env, transfer_.failed);
            deferred_.Reject(SystemError(env, transfer_.error, call).Value());
            return;
        }
        Napi::Array unreadable = Napi::Array::New(env);
        for (const auto &[offset, size] : transfer_.unreadable) {
            Napi::Array pair = Napi::Array::New(env, 2);
            pair[0u] = Napi::BigInt::New(env, offset);
            pair[1u] = Napi::Number::New(env, static_cast<double>(size));
            unreadable[unreadable.Length()] = pair;
        }
        Napi::Object result = Napi::Object::New(env);
        result["written"] = Napi::Number::New(env, static_cast<double>(transfer_.written));
        result["zero"] = Napi::Number::New(env, static_cast<double>(transfer_.zero));
        result["unreadable"] = unreadable;
        deferred_.Resolve(result);
    }

  private:
    Napi::Promise::Deferred deferred_;
    Transfer transfer_;
    Napi::ObjectReference progress_; // keeps alive what transfer_.progress points into
};

static uint64_t BigIntArgument(Napi::Value value) {
    bool lossless;
    if (!value.IsBigInt())
        throw Napi::TypeError::New(value.Env(), "position must be a bigint");
    return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

static Napi::BigUint64Array ArrayArgument(Napi::Value value, const char *message) {
    if (!value.IsTypedArray() ||
        value.As<Napi::TypedArray>().TypedArrayType() != napi_biguint64_array)
        throw Napi::TypeError::New(value.Env(), message);
    return value.As<Napi::BigUint64Array>();
}

Napi::Value Copy(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Napi::BigUint64Array triples = ArrayArgument(info[2], "runs must be a BigUint64Array");
    Napi::BigUint64Array progress = ArrayArgument(info[5], "progress must be a BigUint64Array");
    if (triples.ElementLength() % 3 != 0 || progress.ElementLength() < 2)
        throw Napi::RangeError::New(env, "runs holds triples, progress two numbers");

    Transfer transfer;
    transfer.from = {info[0].ToNumber().Int32Value(), info[6].ToNumber().Int32Value(), -1};
    transfer.to = info[1].ToNumber().Int32Value();
    for (size_t i = 0; i < triples.ElementLength(); i += 3)
        transfer.runs.push_back({triples[i], triples[i + 1], triples[i + 2]});
    transfer.sparse = info[3].ToBoolean();
    transfer.position = BigIntArgument(info[4]);
    transfer.progress = progress.Data();
    transfer.stop = progress.Data() + 1;

    auto *worker = new CopyWorker(env, std::move(transfer), progress);
    Napi::Promise promise = worker->Promise();
    worker->Queue(); // deletes itself when done
    return promise;
}
