// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/base/held_file.h"
#include "core/vmcore/source.h"
#include "hv/domain/domain_vmcore.h"

namespace hadump {

/// The dump that a capture writes while it gives the memory back.
struct KeptDump {
  std::string file;  ///< its final name
  std::string dump_id;
  unsigned level = 0;  ///< what the dump leaves out
};

/// A capture as a whole dump at any time: each frame is read in the domain as long as it is there,
/// and then in the file. It is the same in both. What the level leaves out is not there from the
/// beginning; struct pages that are needed to tell are given back last.
///
/// The capture clears a frame when its journal says that it is durable, not before. So what was
/// read in the domain counts unless the journal says so *afterwards*.
///
/// Threads: as VmcoreSource.
class KeptVmcore : public VmcoreSource {
 public:
  /// @param memory   of the domain that was put aside; borrowed.
  /// @param is_ours  called after each look at the domain, by one thread at a time. An error: it is
  ///                 not that domain any more, nor was it, perhaps, when it was read.
  /// @return what is wrong with the journal or the file; kNotFound without their directory.
  static Result<std::unique_ptr<KeptVmcore>> open(const GuestMemory& memory,
                                                  const DomainFacts& facts, const KeptDump& dump,
                                                  std::function<Result<>()> is_ours);

  const VmcoreLayout& layout() const override { return domain_.layout(); }
  /// @return the errors of reading the journal: nobody knows then what is true.
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override;
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }
  Result<FrameSet> present_in(FrameRange range) const override { return kept_.intersection(range); }

 private:
  struct Saved;
  struct Batch;

  KeptVmcore(const GuestMemory& memory, const DomainFacts& facts, const KeptDump& dump,
             HeldFile file, std::function<Result<>()> is_ours);
  Result<std::shared_ptr<const Saved>> look() const;
  Result<std::shared_ptr<const Saved>> look_again() const;
  Result<std::shared_ptr<const Saved>> look_at_journal() const;
  Result<std::shared_ptr<const Saved>> look_at_file() const;
  Result<> leave_out(unsigned level);
  bool read_domain(FrameRange range, const Batch& batch) const;

  DomainVmcore domain_;
  KeptDump dump_;
  HeldFile file_;
  HeldFile journal_;
  std::function<Result<>()> is_ours_;
  FrameSet kept_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Saved> saved_;  ///< guarded by mutex_; what was seen last
};

}  // namespace hadump
