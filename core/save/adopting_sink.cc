// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/adopting_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "core/base/trusted_path.h"

namespace hadump {
namespace {

// Differences closer than this are kept as one: an entry of the map costs about as much.
constexpr std::size_t kJoinGap = 256;

}  // namespace

Result<std::unique_ptr<AdoptingSink>> AdoptingSink::open(std::unique_ptr<DumpSink> inner,
                                                         const HeldFile& partial) {
  auto fd = partial.open(O_RDWR);
  if (!fd) return fail(std::move(fd));
  if (auto ours = check_trusted_file(fd->get(), partial.path()); !ours)
    return fail(std::move(ours));
  return std::unique_ptr<AdoptingSink>(new AdoptingSink(std::move(inner), std::move(*fd)));
}

// Behind the file's end there are zeros: that is what a hole reads as.
Result<> AdoptingSink::read_existing(std::uint64_t offset, std::size_t bytes) {
  existing_.assign(bytes, std::byte{0});
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::pread(fd_.get(), existing_.data() + done, bytes - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_os(errno, "reading " + location());
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return {};
}

Result<> AdoptingSink::write_data(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (committed_) return inner_->write_data(offset, bytes);
  if (auto read = read_existing(offset, bytes.size()); !read) return read;
  if (!std::equal(bytes.begin(), bytes.end(), existing_.begin()))
    return fail(ErrorCode::kBadData, location() + " holds something else");
  data_end_ = std::max(data_end_, offset + bytes.size());
  return {};
}

// Cuts [begin, end) out of what is pending.
void AdoptingSink::forget_pending(std::uint64_t begin, std::uint64_t end) {
  auto at = pending_.upper_bound(begin);
  if (at != pending_.begin()) --at;
  while (at != pending_.end() && at->first < end) {
    const std::uint64_t first = at->first;
    const std::vector<std::byte> bytes = std::move(at->second);
    at = pending_.erase(at);
    pending_bytes_ -= bytes.size();
    const auto piece = [&](std::uint64_t from, std::uint64_t to) {
      if (from >= to) return;
      const auto offset_of = [&](std::uint64_t place) {
        return bytes.begin() + static_cast<std::ptrdiff_t>(place - first);
      };
      at = std::next(
          pending_.emplace_hint(at, from, std::vector<std::byte>(offset_of(from), offset_of(to))));
      pending_bytes_ += to - from;
    };
    const std::uint64_t last = first + bytes.size();
    piece(first, std::min(last, begin));
    piece(std::max(first, end), last);
  }
}

void AdoptingSink::put_pending(std::uint64_t offset, std::span<const std::byte> bytes) {
  pending_.emplace(offset, std::vector<std::byte>(bytes.begin(), bytes.end()));
  pending_bytes_ += bytes.size();
}

Result<> AdoptingSink::write_table(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (committed_) return inner_->write_table(offset, bytes);
  if (auto read = read_existing(offset, bytes.size()); !read) return read;
  forget_pending(offset, offset + bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    if (bytes[i] == existing_[i]) {
      ++i;
      continue;
    }
    std::size_t end = i + 1;  // Behind the last difference of this run.
    for (std::size_t j = end; j < bytes.size() && j - end < kJoinGap; ++j)
      if (bytes[j] != existing_[j]) end = j + 1;
    put_pending(offset + i, bytes.subspan(i, end - i));
    i = end;
  }
  if (pending_bytes_ > kMaxPendingBytes)
    return fail(ErrorCode::kBadData, location() + " has other tables");
  return {};
}

Result<> AdoptingSink::make_durable() {
  return committed_ ? inner_->make_durable() : Result<>();
}

Result<> AdoptingSink::commit() {
  if (committed_) return {};
  if (data_end_ > 0 && ::ftruncate(fd_.get(), static_cast<off_t>(data_end_)) != 0)
    return fail_os(errno, "cutting " + location());
  for (const auto& [offset, bytes] : pending_)
    if (auto written = inner_->write_table(offset, bytes); !written) return written;
  pending_.clear();
  pending_bytes_ = 0;
  committed_ = true;
  return inner_->make_durable();
}

Result<> AdoptingSink::publish(std::uint64_t size) {
  if (auto done = commit(); !done) return done;
  return inner_->publish(size);
}

}  // namespace hadump
