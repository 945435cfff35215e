#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "core/vmcore/address_space.h"
#include "core/vmcore/page_filter.h"
#include "core/vmcore/page_format.h"
#include "core/vmcore/section_map.h"

namespace hadump {

/// Why frames of the dump were kept although nothing says what they are for.
struct KeptUnknown {
  std::uint64_t no_page_struct = 0;  ///< No section, not online, or beyond 128 TiB.
  std::uint64_t unreadable = 0;      ///< The struct pages are not mapped or not in the dump.
  std::uint64_t damaged = 0;         ///< A struct page with an impossible order.
  std::uint64_t frames() const { return no_page_struct + unreadable + damaged; }
};

/// Tells from VMCOREINFO alone what each page of a crashed Linux kernel was for: x86-64,
/// SPARSEMEM, 5.10 and later. What it does not understand it keeps, and counts.
///
/// Work and memory: classify() reads the struct pages of its range through windows of at most
/// 4 MiB; free blocks, compound pages and holes are steps, not loops. Nothing is kept but 8 bytes
/// for each section (64 KiB for a terabyte).
///
/// Threads: classify() and the metadata functions may be called from several threads at once.
/// Ranges may be asked for in any order. Best are multiples of 128 MiB; each call costs some ten
/// microseconds beyond the work, so one for every few frames would cost more than the filter saves.
class PageClassifier : public PageFilter {
 public:
  /// @param source  borrowed; must outlive the classifier.
  /// @return kNotFound or kUnsupported when VMCOREINFO is missing or lacks what is needed;
  ///         kBadData when it leads nowhere sensible. The dump can then only be saved unfiltered.
  static Result<std::unique_ptr<PageClassifier>> open(const VmcoreSource& source);

  /// As PageFilter. Never fails on damaged tables: what they should describe is kept.
  Result<> classify(FrameRange range, std::vector<PageRun>& runs) const override;

  /// So far, over all calls: a range that is classified twice is counted twice.
  KeptUnknown kept_unknown() const;

  /// The frames that classifying `range` reads: its struct pages, and the page tables on the way
  /// there. To be released only after classify(range).
  FrameSet metadata_frames(FrameRange range) const;
  /// All frames that classify() may read for any range of the dump. Not the section tables, which
  /// open() has read for good.
  FrameSet metadata_frames() const;

  const AddressSpace& address_space() const { return space_; }

 private:
  PageClassifier(const VmcoreSource& source, AddressSpace space, PageFormat format,
                 SectionMap sections)
      : source_(&source), space_(space), format_(format), sections_(std::move(sections)) {}

  class Scan;

  const VmcoreSource* source_;
  AddressSpace space_;
  PageFormat format_;
  SectionMap sections_;
  mutable std::atomic<std::uint64_t> no_page_struct_{0}, unreadable_{0}, damaged_{0};
};

}  // namespace hadump
