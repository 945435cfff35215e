// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/base/held_file.h"
#include "core/base/unique_handle.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// A domain's memory in a file: frame n is at n * 4 KiB. Pages of zeros are holes. To be read, it
/// is a GuestMemory; what would change that one is kUnsupported.
///
/// Threads: as GuestMemory; write() by one thread, while nobody reads.
class PageImage : public GuestMemory {
 public:
  /// A new file, mode 0600. @param end  of the memory. @return EEXIST when it is there.
  static Result<std::unique_ptr<PageImage>> create(const HeldFile& file, Gfn end);
  /// One that is there. @return kBadData when others can change it.
  static Result<std::unique_ptr<PageImage>> open(const HeldFile& file);

  /// What the image is of; the rest is absent.
  void set_present(FrameSet frames) { present_ = std::move(frames); }
  /// Pages that lie together. Nothing is durable.
  /// @param is_new  nothing was written there before. @return kNoSpace with what was written up to
  ///                there.
  Result<> write(Gfn first, std::span<const std::byte> pages, bool is_new);

  Result<FrameMapping> map(FrameRange range, Access access) const override;
  Result<std::vector<FrameKind>> kinds(FrameRange range) const override;
  Result<std::uint64_t> total_frames() const override { return present_.frames(); }
  Result<> set_limit_kib(std::uint64_t kib) override;

 private:
  PageImage(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<> clear(FrameRange range);
  Result<std::uint64_t> host_free_bytes() const override;
  Result<> add_frames(const FrameSet& frames) override;
  Result<> take_away(const FrameSet& frames) override;
  Result<> move_frame(Gfn from, Gfn to) override;

  UniqueFd fd_;
  std::string path_;
  FrameSet present_;
};

/// The image that a dump is made from, "DUMP-image".
HeldFile image_beside(const HeldFile& dump);

/// What a file system has left for us, at the directory of `file`.
Result<std::uint64_t> free_bytes_beside(const HeldFile& file);

}  // namespace hadump
