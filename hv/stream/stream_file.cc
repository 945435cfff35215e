// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/stream/stream_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/file.h"
#include "core/base/time_text.h"
#include "core/base/trusted_path.h"
#include "core/stream/wire.h"

namespace hadump {
namespace {

// As many as may be in the way: files of a guest, each with a number.
constexpr unsigned kMaxNumber = 10'000;
constexpr std::uint64_t kMsPerSecond = 1000;

// An error of the host's own, which is none of the guest's words.
tl::unexpected<Error> ours(Error error) {
  return fail(ErrorCode::kOs, error.what());
}

std::string numbered(const std::string& name, unsigned number) {
  return number == 0 ? name : fmt::format("{}.{}", name, number);
}

}  // namespace

StreamFile::StreamFile(StreamDirectory& owner, StreamLimits limits, StreamPolicy policy,
                       const std::string& domain)
    : owner_(owner),
      limits_(std::move(limits)),
      policy_(policy),
      directory_(stream_directory_of(limits_.directory, domain)) {}

StreamFile::~StreamFile() {
  const bool removes = partial_ && !published_ && !durable_;
  // One that cannot be removed keeps a name that says what it is.
  const bool removed = removes && partial_->remove().has_value();
  if (counted_) owner_.end(directory_, removed || !partial_, removed ? written_ : 0);
}

Result<> StreamFile::find_directory() {
  if (auto made = make_own_directory(directory_); !made) return ours(made.error());
  auto way = walk_trusted(directory_);
  if (!way) return ours(way.error());
  // A guest gives up its memory for what is durable here.
  if (auto lasting = check_lasting(*way, owner_.systems_); !lasting) return ours(lasting.error());
  return {};
}

// The host's choice: the time, and a number where that is taken.
Result<HeldFile> StreamFile::new_name(const std::string& name) const {
  const auto in_directory = [this](const std::string& file) {
    return hold_in_own_directory(directory_ + "/" + file);
  };
  if (!name.empty()) {
    auto held = in_directory(name);
    if (!held) return ours(held.error());
    if (held->exists())
      return fail_os(EEXIST, fmt::format("the host has a file '{}' of this guest already", name));
    return held;
  }
  const std::string chosen = "stream-" + compact_time_text(owner_.wall_ms_() / kMsPerSecond);
  auto held = in_directory(chosen);
  if (!held) return ours(held.error());
  for (unsigned number = 0; number < kMaxNumber; ++number) {
    const HeldFile file = held->beside(numbered(chosen, number));
    if (!file.exists() && !file.beside(file.name() + "-incomplete").exists()) return file;
  }
  return fail(ErrorCode::kNoSpace, "the host has too many files of this guest");
}

Result<> StreamFile::create(const std::string& name) {
  auto file = new_name(name);
  if (!file) return fail(std::move(file));
  for (unsigned number = 0; number < kMaxNumber; ++number) {
    HeldFile partial = file->beside(numbered(file->name() + "-incomplete", number));
    auto fd = partial.open(O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!fd && fd.error().os_errno() == EEXIST) continue;
    if (!fd) return ours(fd.error());
    fd_ = std::move(*fd);
    final_ = std::move(*file);
    partial_ = std::move(partial);
    return {};
  }
  return fail(ErrorCode::kNoSpace, "the host has too many incomplete files of this guest");
}

Result<StreamStore::Place> StreamFile::open(const std::string& name) {
  if (!name.empty())
    if (auto fine = check_stream_name(name); !fine) return fail(std::move(fine));
  if (auto found = find_directory(); !found) return fail(std::move(found));
  if (auto begun = owner_.begin(directory_, policy_); !begun) return fail(std::move(begun));
  counted_ = true;
  if (auto created = create(name); !created) return fail(std::move(created));
  return Place{final_->name(), owner_.left(directory_, policy_)};
}

Result<std::uint64_t> StreamFile::free_bytes() const {
  struct statvfs info {};
  if (::fstatvfs(fd_.get(), &info) != 0)
    return fail_os(errno, "asking for the free space of " + directory_);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<> StreamFile::write(std::span<const std::byte> bytes) {
  auto free = free_bytes();
  if (!free) return fail(std::move(free));
  if (auto room = owner_.take(directory_, bytes.size(), *free, policy_, limits_.keep_free); !room)
    return room;
  written_ += bytes.size();
  auto done = write_all(fd_.get(), bytes, partial_->path());
  if (!done && done.error().code() == ErrorCode::kNoSpace)
    return fail(ErrorCode::kNoSpace, "the host's disk is full");
  return done;
}

Result<> StreamFile::make_durable() {
  if (::fdatasync(fd_.get()) != 0) return fail_os(errno, "making " + partial_->path() + " durable");
  if (durable_) return {};
  // Its name, and that of its directory, which may be new.
  if (auto done = partial_->sync_directory(); !done) return done;
  if (auto done = sync_directory_of(directory_); !done) return done;
  durable_ = written_ != 0;
  return {};
}

Result<> StreamFile::publish() {
  if (auto done = partial_->rename_to_new(final_->name()); !done) {
    if (done.error().os_errno() == EEXIST)
      return fail_os(EEXIST,
                     fmt::format("the host has a file '{}' of this guest already", final_->name()));
    return done;
  }
  published_ = true;
  return final_->sync_directory();
}

}  // namespace hadump
