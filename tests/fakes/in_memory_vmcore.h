// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/vmcore/source.h"

namespace hadump {

/// A dump in memory that behaves: frames inside the layout that nothing was put into read as zeros.
///
/// Threads: reading from several threads is allowed; the setters are for before that.
class InMemoryVmcore : public VmcoreSource {
 public:
  explicit InMemoryVmcore(FrameSet frames);

  InMemoryVmcore& fill(Gfn gfn, std::byte value);
  /// Copies bytes to a physical address, across frames.
  InMemoryVmcore& put(GuestPhys at, std::span<const std::byte> bytes);
  /// The frame reads as kFailed from now on.
  InMemoryVmcore& refuse(Gfn gfn);
  /// The frame is in the layout but was left out.
  InMemoryVmcore& leave_out(Gfn gfn);
  /// The next read() as a whole fails with this errno, then all is well again.
  InMemoryVmcore& fail_next_read(int errno_value);
  InMemoryVmcore& set_vmcoreinfo(const std::string& text);
  InMemoryVmcore& add_note(ElfNote note);
  InMemoryVmcore& add_segment(LoadSegment segment);

  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override;
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

 private:
  std::vector<std::byte>& frame(Gfn gfn);

  VmcoreLayout layout_;
  std::map<Gfn, std::vector<std::byte>> contents_;
  std::map<Gfn, FrameStatus> faults_;
  mutable std::mutex mutex_;  // protects next_read_errno_
  mutable std::optional<int> next_read_errno_;
};

}  // namespace hadump
