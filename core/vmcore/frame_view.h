// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "core/base/units.h"

namespace hadump {

/// Owns one mmap; unmaps it at the end of its life.
class MemoryMapping {
 public:
  MemoryMapping() = default;
  /// @param base,bytes  what mmap() returned and was given.
  /// @param skip        bytes at the front that the caller did not ask for (alignment).
  MemoryMapping(void* base, std::size_t bytes, std::size_t skip)
      : base_(base), bytes_(bytes), skip_(skip) {}
  MemoryMapping(MemoryMapping&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), bytes_(other.bytes_), skip_(other.skip_) {}
  MemoryMapping& operator=(MemoryMapping&& other) noexcept {
    if (this != &other) {
      reset();
      base_ = std::exchange(other.base_, nullptr);
      bytes_ = other.bytes_;
      skip_ = other.skip_;
    }
    return *this;
  }
  MemoryMapping(const MemoryMapping&) = delete;
  MemoryMapping& operator=(const MemoryMapping&) = delete;
  ~MemoryMapping() { reset(); }

  const std::byte* data() const { return static_cast<const std::byte*>(base_) + skip_; }
  explicit operator bool() const { return base_ != nullptr; }

 private:
  void reset() {
    if (base_ != nullptr) static_cast<void>(::munmap(std::exchange(base_, nullptr), bytes_));
  }

  void* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t skip_ = 0;
};

/// The contents of consecutive frames, as long as this object lives: either a mapping of the dump
/// itself, of whatever kind, or, where that cannot be had, a copy.
///
/// A view of /proc/vmcore points at the old memory: drop it before its frames are released, or it
/// shows what their new owner writes there.
class FrameView {
 public:
  FrameView() = default;
  FrameView(FrameRange range, MemoryMapping mapping)
      : range_(range), data_(mapping.data()), mapping_(std::move(mapping)) {}
  FrameView(FrameRange range, std::unique_ptr<std::byte[]> copy)
      : range_(range), data_(copy.get()), copy_(std::move(copy)) {}
  /// @param data     in memory that `mapping` keeps there until it is destroyed, wherever it is
  ///                 moved to in the meantime.
  template <typename Mapping>
  FrameView(FrameRange range, const std::byte* data, Mapping mapping)
      : range_(range), data_(data), other_(new Mapping(std::move(mapping)), [](void* owned) {
          delete static_cast<Mapping*>(owned);
        }) {}
  FrameView(FrameView&&) noexcept = default;
  FrameView& operator=(FrameView&&) noexcept = default;

  FrameRange range() const { return range_; }
  /// range().bytes() bytes.
  std::span<const std::byte> bytes() const { return {data_, range_.bytes()}; }
  /// False when the bytes are a copy.
  bool is_mapped() const { return mapping_ || other_; }

 private:
  FrameRange range_{};
  const std::byte* data_ = nullptr;
  MemoryMapping mapping_;
  std::unique_ptr<std::byte[]> copy_;
  std::unique_ptr<void, void (*)(void*)> other_{nullptr, nullptr};
};

}  // namespace hadump
