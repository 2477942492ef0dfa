#include "transfer.h"

#include <algorithm>
#include <condition_variable>
#include <errno.h>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <thread>
#include <unistd.h>

// Small enough that what was read is still in the cache when it is written; measured in bench/.
static const size_t BUFFER_SIZE = 256 * 1024;
static const size_t BUFFERS = 4;

// Bytes to write: from the buffer, or zeros to fill a gap of a stream.
struct Segment {
    const uint8_t *bytes; // null: zeros
    uint64_t size;
    uint64_t destination;
};

struct Buffer {
    std::vector<uint8_t> bytes = std::vector<uint8_t>(BUFFER_SIZE);
    size_t used = 0;
    std::vector<Segment> segments;
};

// A ring of buffers between two threads.
class Ring {
  public:
    // The next empty buffer; null once the writer has failed.
    Buffer *Empty() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return filled_ - emptied_ < BUFFERS || failed_; });
        return failed_ ? nullptr : &buffers_[filled_ % BUFFERS];
    }
    void Filled() {
        Change([this] { filled_++; });
    }
    // The next full buffer; null after the last one.
    Buffer *Full() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return emptied_ < filled_ || ended_; });
        return emptied_ < filled_ ? &buffers_[emptied_ % BUFFERS] : nullptr;
    }
    void Emptied() {
        Change([this] { emptied_++; });
    }
    void End() {
        Change([this] { ended_ = true; });
    }
    void Fail() {
        Change([this] { failed_ = true; });
    }

  private:
    template <typename Action> void Change(Action action) {
        std::lock_guard<std::mutex> lock(mutex_);
        action();
        changed_.notify_one();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    Buffer buffers_[BUFFERS];
    uint64_t filled_ = 0;
    uint64_t emptied_ = 0;
    bool ended_ = false;
    bool failed_ = false;
};

static void AddSegment(Buffer &buffer, const uint8_t *bytes, uint64_t size, uint64_t destination) {
    if (!buffer.segments.empty() && bytes) {
        Segment &last = buffer.segments.back();
        if (last.bytes && last.bytes + last.size == bytes &&
            last.destination + last.size == destination) {
            last.size += size;
            return;
        }
    }
    buffer.segments.push_back({bytes, size, destination});
}

// Splits what was read into pages of zeros and stretches to write.
static void AddPages(Transfer &transfer, Buffer &buffer, const uint8_t *bytes, size_t size,
                     uint64_t destination) {
    for (size_t at = 0; at < size; at += PAGE) {
        size_t length = std::min(PAGE, size - at);
        bool zero = IsZero(bytes + at, length);
        if (zero)
            transfer.zero += length;
        if (!zero || !transfer.sparse)
            AddSegment(buffer, bytes + at, length, destination + at);
    }
}

// The reader's half. Returns 0 or an errno.
static int Read(Transfer &transfer, Ring &ring) {
    uint64_t position = transfer.position;
    Buffer *buffer = nullptr;
    for (const Run &run : transfer.runs) {
        if (!transfer.sparse && run.destination < position)
            return EINVAL; // a stream cannot go back
        for (uint64_t done = 0; done < run.size;) {
            if (!buffer) {
                buffer = ring.Empty();
                if (!buffer)
                    return 0; // the writer has the error
                buffer->used = 0;
                buffer->segments.clear();
            }
            uint64_t destination = run.destination + done;
            if (!transfer.sparse && position < destination)
                AddSegment(*buffer, nullptr, destination - position, position);
            uint8_t *bytes = buffer->bytes.data() + buffer->used;
            size_t size = std::min<uint64_t>(BUFFER_SIZE - buffer->used, run.size - done);
            int error =
                ReadPages(transfer.from, bytes, size, run.source + done, transfer.unreadable);
            if (error)
                return error;
            AddPages(transfer, *buffer, bytes, size, destination);
            done += size;
            position = destination + size;
            buffer->used += size;
            if (buffer->used == BUFFER_SIZE) {
                ring.Filled();
                buffer = nullptr;
            }
        }
    }
    if (buffer)
        ring.Filled();
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

static int WriteSegment(Transfer &transfer, const Segment &segment) {
    static const uint8_t zeros[64 * 1024] = {};
    bool stream = !transfer.sparse;
    if (segment.bytes) {
        int error = Write(transfer.to, segment.bytes, segment.size, segment.destination, stream);
        // The disk begins now, while we copy on: less is left for fsync(2) to wait for.
        if (!error && !stream)
            sync_file_range(transfer.to, segment.destination, segment.size, SYNC_FILE_RANGE_WRITE);
        return error;
    }
    for (uint64_t left = segment.size; left > 0;) {
        size_t size = std::min<uint64_t>(left, sizeof zeros);
        int error = Write(transfer.to, zeros, size, 0, stream);
        if (error)
            return error;
        left -= size;
    }
    return 0;
}

static int WriteBuffer(Transfer &transfer, const Buffer &buffer) {
    for (const Segment &segment : buffer.segments) {
        int error = WriteSegment(transfer, segment);
        if (error)
            return error;
        transfer.written += segment.size;
    }
    __atomic_fetch_add(transfer.progress, buffer.used, __ATOMIC_RELAXED);
    return 0;
}

void Execute(Transfer &transfer) {
    Ring ring;
    int read_error = 0;
    std::thread reader([&] {
        read_error = Read(transfer, ring);
        ring.End();
    });
    while (Buffer *buffer = ring.Full()) {
        transfer.error = WriteBuffer(transfer, *buffer);
        if (transfer.error) {
            transfer.failed = "write";
            ring.Fail();
            break;
        }
        ring.Emptied();
    }
    reader.join();
    if (!transfer.error && read_error) {
        transfer.error = read_error;
        transfer.failed = "read";
    }
}
