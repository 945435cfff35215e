// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "core/vmcore/address_space.h"
#include "core/vmcore/block_cache.h"
#include "core/vmcore/frame_uses.h"
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
/// Work and memory: struct pages are read in blocks of 32 MiB of memory, through windows onto the
/// dump; free blocks, compound pages and holes are steps, not loops, where the dump level leaves
/// them out. Where it does not, each page in them may be poisoned: 5.10 frees a hugetlb page whole
/// that has a bad one. The classes of the last blocks are remembered (half a MiB), so that ranges
/// may be as small as one likes; beyond that, nothing is kept but 8 bytes for each section (64 KiB
/// for a terabyte), and as many for each compound page that is larger than a section. Those are
/// looked for when it is opened, so that from then on a frame's class depends on struct pages of
/// its own section only.
///
/// Threads: classify() and the metadata functions may be called from several threads at once.
/// Ranges may be asked for in any order; what goes back and forth over more than BlockCache holds
/// is classified again.
class PageClassifier : public PageFilter {
 public:
  /// @param source  borrowed; must outlive the classifier.
  /// @param dump_level  what this level leaves out is not searched for poisoned pages.
  /// @return kNotFound or kUnsupported when VMCOREINFO is missing or lacks what is needed;
  ///         kBadData when it leads nowhere sensible. The dump can then only be saved unfiltered.
  static Result<std::unique_ptr<PageClassifier>> open(const VmcoreSource& source,
                                                      unsigned dump_level = 0);

  /// As PageFilter. Never fails on damaged tables: what they should describe is kept.
  Result<> classify(FrameRange range, std::vector<PageRun>& runs) const override;

  /// In all blocks of 32 MiB that were classified so far: those that hold what was asked for, and
  /// maybe the next. One that was forgotten and classified again is counted again.
  KeptUnknown kept_unknown() const;

  /// All frames that classify() reads, each with the frames that it may be asked for when it does
  /// so, on any number of threads: struct pages, and the page tables on the way there. Also what
  /// open() reads, and that counts as used for all of the dump: another classifier of what is still
  /// used for `range` tells the classes there as this one does.
  FrameUses metadata_uses() const;

  const AddressSpace& address_space() const { return space_; }

 private:
  PageClassifier(const VmcoreSource& source, AddressSpace space, PageFormat format,
                 SectionMap sections, unsigned dump_level);

  class Scan;
  /// A compound page that begins with a section and is larger.
  struct LargeBlock {
    std::uint32_t section;
    std::uint8_t order;
    PageClass page_class;
  };

  void find_large_blocks();
  const LargeBlock* large_block(Gfn head) const;
  void add_uses(PageTableWalker& walker, GuestVirt structs, std::uint64_t bytes,
                FrameRange used_for, FrameUsesBuilder& uses) const;

  const VmcoreSource* source_;
  AddressSpace space_;
  PageFormat format_;
  SectionMap sections_;
  unsigned dump_level_;
  std::vector<LargeBlock> large_blocks_;  // ascending
  mutable std::atomic<std::uint64_t> no_page_struct_{0}, unreadable_{0}, damaged_{0};
  mutable BlockCache blocks_;  // last: it uses all of the above
};

}  // namespace hadump
