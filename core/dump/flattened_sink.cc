// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/flattened_sink.h"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/endian.h"
#include "core/base/file.h"

namespace hadump {
namespace {

/// struct makedumpfile_header and struct makedumpfile_data_header (makedumpfile, IMPLEMENTATION).
struct FlattenedHeader {
  std::array<char, 16> signature{"makedumpfile"};
  be64 type = 1;
  be64 version = 1;
};
static_assert(sizeof(FlattenedHeader) == 32);
constexpr std::size_t kFlattenedHeaderBytes = 4096;

struct RecordHeader {
  be64 offset;
  be64 size;
};
static_assert(sizeof(RecordHeader) == 16);
constexpr std::uint64_t kEndMark = ~std::uint64_t{0};  // -1 in both fields

/// A pipe, socket or file, which promises nothing.
class DescriptorPeer : public FlattenedPeer {
 public:
  DescriptorPeer(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  /// One system call for the record and its header: they are many on a dump of single pages.
  Result<> write(std::span<const std::byte> head, std::span<const std::byte> body) override {
    std::array<iovec, 2> parts{{{const_cast<std::byte*>(head.data()), head.size()},
                                {const_cast<std::byte*>(body.data()), body.size()}}};
    ssize_t put = 0;
    do put = ::writev(fd_.get(), parts.data(), parts.size());
    while (put < 0 && errno == EINTR);
    if (put < 0) return fail_os(errno, "writing " + name_);
    const auto done = static_cast<std::size_t>(put);
    if (done < head.size())
      if (auto rest = write_all(fd_.get(), head.subspan(done), name_); !rest) return rest;
    const std::size_t body_done = done < head.size() ? 0 : done - head.size();
    return write_all(fd_.get(), body.subspan(body_done), name_);
  }
  Result<> make_durable() override {
    return fail(ErrorCode::kUnsupported, name_ + " cannot promise that anything is durable");
  }
  Result<> end() override {
    // A file behind the descriptor becomes durable; a pipe says EINVAL, which loses nothing.
    if (::fsync(fd_.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
      return fail_os(errno, "making " + name_ + " durable");
    return {};
  }

 private:
  UniqueFd fd_;
  std::string name_;
};

class FlattenedSink : public DumpSink {
 public:
  FlattenedSink(std::unique_ptr<FlattenedPeer> peer, std::string name)
      : peer_(std::move(peer)), name_(std::move(name)) {}

  Result<> start() {
    std::array<std::byte, kFlattenedHeaderBytes> block{};
    const FlattenedHeader header;
    std::memcpy(block.data(), &header, sizeof(header));
    return peer_->write(block, {});
  }

  bool can_rewrite() const override { return false; }

  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes.empty()) return {};
    return write_record({offset, bytes.size()}, bytes);
  }

  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return write_data(offset, bytes);
  }

  Result<> make_durable() override { return peer_->make_durable(); }

  Result<> publish(std::uint64_t /*size*/) override {
    if (auto ended = write_record({kEndMark, kEndMark}, {}); !ended) return ended;
    return peer_->end();
  }

  std::string location() const override { return name_; }

 private:
  Result<> write_record(RecordHeader header, std::span<const std::byte> bytes) {
    if (is_broken_) return fail(ErrorCode::kOs, name_ + " ends within a record");
    auto written = peer_->write(std::as_bytes(std::span(&header, 1)), bytes);
    is_broken_ = !written;  // Whatever came next would be taken for the rest of this record.
    return written;
  }

  std::unique_ptr<FlattenedPeer> peer_;
  std::string name_;
  bool is_broken_ = false;
};

}  // namespace

Result<std::unique_ptr<DumpSink>> open_flattened_sink(std::unique_ptr<FlattenedPeer> peer,
                                                      std::string name) {
  auto sink = std::make_unique<FlattenedSink>(std::move(peer), std::move(name));
  if (auto started = sink->start(); !started) return fail(std::move(started));
  return sink;
}

Result<std::unique_ptr<DumpSink>> open_flattened_sink(UniqueFd fd, std::string name) {
  auto peer = std::make_unique<DescriptorPeer>(std::move(fd), name);
  return open_flattened_sink(std::move(peer), std::move(name));
}

}  // namespace hadump
