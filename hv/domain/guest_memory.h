// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"

namespace hadump {

/// What the hypervisor has behind one guest frame.
enum class FrameKind : std::uint8_t {
  kRam,     ///< Ordinary memory of the guest.
  kAbsent,  ///< Nothing (ballooned out, never populated), or a page of the hypervisor's own.
  kBroken,  ///< Memory that the hardware has reported as bad.
};

enum class Access : std::uint8_t { kRead, kReadWrite };

/// Guest frames in our own address space, until this object goes away. Move-only.
class FrameMapping {
 public:
  using Unmap = std::function<void(std::span<std::byte>)>;

  FrameMapping() = default;
  /// @param present  one per frame; a frame that is not present must not be touched.
  FrameMapping(Gfn first, std::span<std::byte> bytes, std::vector<bool> present, Unmap unmap)
      : first_(first), bytes_(bytes), present_(std::move(present)), unmap_(std::move(unmap)) {}
  FrameMapping(FrameMapping&& other) noexcept { swap(other); }
  FrameMapping& operator=(FrameMapping&& other) noexcept {
    FrameMapping(std::move(other)).swap(*this);
    return *this;
  }
  FrameMapping(const FrameMapping&) = delete;
  FrameMapping& operator=(const FrameMapping&) = delete;
  ~FrameMapping() {
    if (unmap_ && !bytes_.empty()) unmap_(bytes_);
  }

  FrameRange range() const { return {first_, Gfn{first_.value + present_.size()}}; }
  bool present(std::size_t index) const { return present_[index]; }
  bool all_present() const {
    for (bool one : present_)
      if (!one) return false;
    return true;
  }
  std::span<std::byte> bytes() const { return bytes_; }
  /// @pre present(index).
  std::span<std::byte, kFrameSize> frame(std::size_t index) const {
    return bytes_.subspan(index * kFrameSize).first<kFrameSize>();
  }

 private:
  void swap(FrameMapping& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(bytes_, other.bytes_);
    std::swap(present_, other.present_);
    std::swap(unmap_, other.unmap_);
  }
  Gfn first_;
  std::span<std::byte> bytes_;
  std::vector<bool> present_;
  Unmap unmap_;
};

/// The guest-physical memory of one domain: looking at it, and adding and removing frames.
///
/// Implementations: XenGuestMemory (hv/xen), InMemoryGuest (tests/fakes); both pass
/// tests/contract/guest_memory_contract.h. XenPvMemory (hv/xen) can be read only; what would change
/// it is kUnsupported.
///
/// Threads: const functions may be called from several threads at once.
/// Consistency: the bytes are stable only while the domain is paused; this class does not check.
class GuestMemory {
 public:
  virtual ~GuestMemory() = default;

  /// Maps consecutive frames. A mapping in which some or all frames are absent is a success; look
  /// at present(). Outlived by this object.
  /// @return kOs when no frame could be tried (EPERM, ENOMEM, ESRCH, …).
  virtual Result<FrameMapping> map(FrameRange range, Access access) const = 0;

  /// The same for frames that lie apart, in as few calls as possible. One mapping for each range of
  /// `frames`, in order, or several.
  virtual Result<std::vector<FrameMapping>> map_all(const FrameSet& frames, Access access) const;

  /// @return one kind per frame of `range`. kOs (ESRCH, …) when the hypervisor would not say.
  virtual Result<std::vector<FrameKind>> kinds(FrameRange range) const = 0;

  /// How many frames the domain has altogether, wherever they are.
  virtual Result<std::uint64_t> total_frames() const = 0;

  /// Adds memory behind every one of `frames`, of which none may be present. Contents are
  /// undefined. All or nothing. @pre the domain's limit has room (set_limit_kib).
  /// @param keep_free_bytes  what the host must have left afterwards.
  /// @return kNoSpace when the host has not enough free memory; kOs otherwise.
  Result<> populate(const FrameSet& frames, std::uint64_t keep_free_bytes = 0);
  /// What the host has to give. @return kOs.
  Result<std::uint64_t> free_on_host() const { return host_free_bytes(); }

  /// Clears those frames of `range` that are present, then takes them away. Absent ones are no
  /// error, so an interrupted populate() can be undone. The one way for memory to leave a domain:
  /// the hypervisor scrubs the memory of a dying domain only and gives anything else to the next
  /// domain as it is (Xen 4.17 and 4.20, free_domheap_pages()).
  /// @return kBusy when a frame cannot be cleared: it and those after it stay. Can be repeated.
  Result<> remove(FrameRange range);

  /// What replace() must have written down before it goes on: the frames whose content is in the
  /// spare ones and nowhere else from then on; none when it is behind them again.
  using NoteReplaced = std::function<Result<>(const FrameSet& frames)>;

  /// Puts other memory with the same content behind each of `frames` that is there: whoever has
  /// mapped one (a grant) keeps what was there, which is cleared before, and has no part in the
  /// domain's memory any more. What is mapped elsewhere goes on counting as the domain's.
  /// @param spare  the first of kSpareFrames that are absent, unless an earlier call was
  ///               interrupted. Can be repeated, after finish_replace().
  /// @param keep_free_bytes  as populate().
  /// @pre the domain's limit has room for all of `frames` once more.
  /// @return errors of populate(), remove() and `note`, kBusy when a frame cannot be mapped: each
  ///         frame has its old memory or a new one, but for those that were noted last.
  Result<> replace(const FrameSet& frames, Gfn spare, std::uint64_t keep_free_bytes,
                   const NoteReplaced& note);
  /// Ends what replace() has noted last. Can be repeated.
  Result<> finish_replace(const FrameSet& noted, Gfn spare);
  static constexpr std::uint64_t kSpareFrames = 512;

  /// The most the domain may have. Domain::status() has the present value.
  virtual Result<> set_limit_kib(std::uint64_t kib) = 0;

 protected:
  /// Of the host, for any domain.
  virtual Result<std::uint64_t> host_free_bytes() const = 0;
  /// As populate().
  virtual Result<> add_frames(const FrameSet& frames) = 0;
  /// Takes away frames that are present, as they are. @pre cleared, and no longer mapped.
  virtual Result<> take_away(const FrameSet& frames) = 0;
  /// Puts the memory behind `from` behind `to`, whose own goes to the host, in one step.
  virtual Result<> move_frame(Gfn from, Gfn to) = 0;

 private:
  Result<> copy_to_spare(const FrameSet& frames, FrameRange spare, std::uint64_t keep_free_bytes);
  Result<> remove_piece(FrameRange piece);
};

/// Copies bytes out of the guest. kBadData when a frame is absent.
Result<> read_guest(const GuestMemory& memory, GuestPhys from, std::span<std::byte> out);
/// Copies bytes into the guest. kBadData when a frame is absent; then nothing is promised.
Result<> write_guest(const GuestMemory& memory, GuestPhys to, std::span<const std::byte> data);
/// The frames of `range` that are of this kind now. Errors as kinds().
Result<FrameSet> frames_of_kind(const GuestMemory& memory, FrameRange range, FrameKind kind);
/// Fills with zeros.
Result<> zero_guest(const GuestMemory& memory, GuestPhys to, std::uint64_t bytes);

}  // namespace hadump
