#include "transfer.h"

#include <algorithm>
#include <condition_variable>
#include <errno.h>
#include <map>
#include <mutex>
#include <new>
#include <poll.h>
#include <thread>
#include <unistd.h>

// Small enough that what was read is still in the cache when it is written; measured in bench/.
static const size_t BUFFER_SIZE = 256 * 1024;
// Bytes to write: from the buffer, or zeros to fill a gap of a stream.
struct Segment {
    const uint8_t *bytes; // null: zeros
    uint64_t size;
    uint64_t destination;
};

// What a worker does at a time: runs of BUFFER_SIZE bytes together, and what was read of them.
struct Batch {
    uint64_t number;
    std::vector<Run> runs;
    uint64_t position; // of a stream: where the batch before it ended
    uint64_t size;

    std::vector<uint8_t> bytes = std::vector<uint8_t>(BUFFER_SIZE);
    std::vector<Segment> segments;
    uint64_t zero;
    Extents unreadable;
};

// What the workers share: hands out the work, in order, and gathers what came of it.
class Work {
  public:
    explicit Work(Transfer &transfer) : transfer_(transfer), position_(transfer.position) {}

    // The next batch; false after the last one, or once something has failed.
    bool Take(Batch &batch) {
        std::lock_guard<std::mutex> lock(mutex_);
        batch.runs.clear();
        batch.position = position_;
        batch.size = 0;
        while (batch.size < BUFFER_SIZE && run_ < transfer_.runs.size()) {
            const Run &run = transfer_.runs[run_];
            uint64_t size = std::min<uint64_t>(BUFFER_SIZE - batch.size, run.size - done_);
            if (size > 0) {
                batch.runs.push_back({run.source + done_, size, run.destination + done_});
                batch.size += size;
                position_ = run.destination + done_ + size;
                done_ += size;
            }
            if (done_ == run.size) {
                run_++;
                done_ = 0;
            }
        }
        batch.number = taken_++;
        return !transfer_.error && !batch.runs.empty();
    }

    // Waits until all batches before this one are written; false once something has failed.
    bool AwaitTurn(const Batch &batch) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return written_ == batch.number || transfer_.error; });
        return !transfer_.error;
    }

    void Written(Batch &batch) {
        std::lock_guard<std::mutex> lock(mutex_);
        written_++;
        transfer_.zero += batch.zero;
        for (const Segment &segment : batch.segments)
            transfer_.written += segment.size;
        if (!batch.unreadable.empty())
            unreadable_[batch.number].swap(batch.unreadable);
        __atomic_fetch_add(transfer_.progress, batch.size, __ATOMIC_RELAXED);
        changed_.notify_all();
    }

    void Fail(int error, const char *failed) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!transfer_.error) {
            transfer_.error = error;
            transfer_.failed = failed;
        }
        changed_.notify_all();
    }

    // When all workers have ended.
    void End() {
        for (const auto &[number, extents] : unreadable_)
            for (const auto &[offset, size] : extents)
                AddExtent(transfer_.unreadable, offset, size);
    }

  private:
    Transfer &transfer_;
    std::mutex mutex_;
    std::condition_variable changed_;
    size_t run_ = 0;    // the next one,
    uint64_t done_ = 0; // bytes of it that were handed out,
    uint64_t position_; // and where those before it end
    uint64_t taken_ = 0;
    uint64_t written_ = 0;
    std::map<uint64_t, Extents> unreadable_; // of a batch
};

static void AddSegment(Batch &batch, const uint8_t *bytes, uint64_t size, uint64_t destination) {
    if (!batch.segments.empty() && bytes) {
        Segment &last = batch.segments.back();
        if (last.bytes && last.bytes + last.size == bytes &&
            last.destination + last.size == destination) {
            last.size += size;
            return;
        }
    }
    batch.segments.push_back({bytes, size, destination});
}

// Splits what was read into pages of zeros and stretches to write.
static void AddPages(Batch &batch, bool sparse, const uint8_t *bytes, size_t size,
                     uint64_t destination) {
    for (size_t at = 0; at < size; at += PAGE) {
        size_t length = std::min(PAGE, size - at);
        bool zero = IsZero(bytes + at, length);
        if (zero)
            batch.zero += length;
        if (!zero || !sparse)
            AddSegment(batch, bytes + at, length, destination + at);
    }
}

// Returns 0 or an errno.
static int ReadBatch(const Transfer &transfer, Batch &batch) {
    batch.segments.clear();
    batch.zero = 0;
    batch.unreadable.clear();
    uint64_t position = batch.position;
    uint8_t *bytes = batch.bytes.data();
    for (const Run &run : batch.runs) {
        if (!transfer.sparse && run.destination < position)
            return EINVAL; // a stream cannot go back
        if (!transfer.sparse && run.destination > position)
            AddSegment(batch, nullptr, run.destination - position, position);
        int error = ReadPages(transfer.from, bytes, run.size, run.source, batch.unreadable);
        if (error)
            return error;
        AddPages(batch, transfer.sparse, bytes, run.size, run.destination);
        position = run.destination + run.size;
        bytes += run.size;
    }
    return 0;
}

// Writes all of it, at an offset or to the end of a stream. Returns 0 or an errno.
static int Write(int fd, const uint8_t *bytes, size_t size, uint64_t offset, bool stream) {
    while (size > 0) {
        ssize_t count = stream ? write(fd, bytes, size) : pwrite(fd, bytes, size, offset);
        if (count >= 0) {
            bytes += count;
            size -= count;
            offset += count;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {fd, POLLOUT, 0};
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int WriteSegment(const Transfer &transfer, const Segment &segment) {
    static const uint8_t zeros[64 * 1024] = {};
    bool stream = !transfer.sparse;
    if (segment.bytes)
        return Write(transfer.to, segment.bytes, segment.size, segment.destination, stream);
    for (uint64_t left = segment.size; left > 0;) {
        size_t size = std::min<uint64_t>(left, sizeof zeros);
        int error = Write(transfer.to, zeros, size, 0, stream);
        if (error)
            return error;
        left -= size;
    }
    return 0;
}

static int WriteBatch(const Transfer &transfer, const Batch &batch) {
    for (const Segment &segment : batch.segments) {
        int error = WriteSegment(transfer, segment);
        if (error)
            return error;
    }
    return 0;
}

static void RunBatches(const Transfer &transfer, Work &work, Batch &batch) {
    while (work.Take(batch)) {
        if (__atomic_load_n(transfer.stop, __ATOMIC_RELAXED))
            return work.Fail(ECANCELED, "copy");
        if (int error = ReadBatch(transfer, batch))
            return work.Fail(error, "read");
        if (!transfer.sparse && !work.AwaitTurn(batch))
            return;
        if (int error = WriteBatch(transfer, batch))
            return work.Fail(error, "write");
        work.Written(batch);
    }
}

static void RunWorker(const Transfer &transfer, Work &work) {
    try {
        Batch batch;
        RunBatches(transfer, work, batch);
    } catch (const std::bad_alloc &) {
        work.Fail(ENOMEM, "malloc");
    }
}

// By two workers: a file takes one writer at a time, so while one of them writes the other reads.
void Execute(Transfer &transfer) {
    Work work(transfer);
    std::thread other([&] { RunWorker(transfer, work); });
    RunWorker(transfer, work);
    other.join();
    work.End();
}
