// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/page_classifier.h"

#include <algorithm>
#include <bit>

#include "core/vmcore/page_struct_reader.h"

namespace hadump {
namespace {

/// How far ahead of what is judged struct pages are fetched: each is a cache line of its own, and
/// the processor by itself does not look over the border of a page.
constexpr std::uint64_t kPrefetchBytes = 2048;

/// Appends what `classes`, those of the frames from range.begin on, say as runs. Joins neighbours,
/// but leaves the runs before `own` alone: they are of an earlier call.
void append_runs(FrameRange range, const PageClass* classes, std::vector<PageRun>& runs,
                 std::size_t own) {
  const auto count = static_cast<std::size_t>(range.frames());
  for (std::size_t i = 0; i < count;) {
    const PageClass page_class = classes[i];
    const Gfn begin{range.begin.value + i};
    while (i < count && classes[i] == page_class) ++i;
    const Gfn end{range.begin.value + i};
    if (runs.size() > own && runs.back().page_class == page_class)
      runs.back().frames.end = end;
    else
      runs.push_back({{begin, end}, page_class});
  }
}

/// The frames that may be asked for when a block with frames of `range` is classified.
FrameRange asked_for(FrameRange range) {
  constexpr std::uint64_t kAheadFrames = BlockCache::kAhead * kBlockFrames;
  const std::uint64_t begin = round_down(range.begin.value, kBlockFrames);
  return {Gfn{begin - std::min(begin, kAheadFrames)}, Gfn{round_up(range.end.value, kBlockFrames)}};
}

/// The first block without frames of the dump above.
std::uint64_t block_after(const FrameSet& frames) {
  return frames.empty() ? 0 : (frames.ranges().back().end.value - 1) / kBlockFrames + 1;
}

}  // namespace

/// Classifies one block.
class PageClassifier::Scan {
 public:
  Scan(const PageClassifier& classifier, std::uint64_t block, BlockCache::Classes& classes)
      : c_(classifier),
        range_{Gfn{block * kBlockFrames}, Gfn{(block + 1) * kBlockFrames}},
        structs_(*classifier.source_, classifier.space_, classifier.sections_,
                 classifier.format_.size()),
        classes_(classes) {
    classes_.fill(PageClass::kKeep);
  }
  ~Scan() {
    c_.no_page_struct_ += unknown_.no_page_struct;
    c_.unreadable_ += unknown_.unreadable;
    c_.damaged_ += unknown_.damaged;
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  void run() {
    for (std::uint64_t section = c_.sections_.section_of(range_.begin);
         section <= c_.sections_.section_of(Gfn{range_.end.value - 1}); ++section) {
      const auto structs = c_.sections_.page_structs(section);
      if (structs)
        scan_section(c_.sections_.section_range(section), *structs);
      else
        unknown_.no_page_struct += dumped(c_.sections_.section_range(section));
    }
  }

 private:
  /// [begin, end) is of this class, as far as it lies in the block.
  void set(std::uint64_t begin, std::uint64_t end, PageClass page_class) {
    begin = std::max(begin, range_.begin.value);
    end = std::min(end, range_.end.value);
    if (begin < end)
      std::fill_n(classes_.data() + (begin - range_.begin.value), end - begin, page_class);
  }

  std::uint64_t dumped(FrameRange range) const {
    const FrameRange clipped{std::max(range.begin, range_.begin), std::min(range.end, range_.end)};
    if (clipped.begin >= clipped.end) return 0;
    return c_.source_->layout().frames.intersection(clipped).frames();
  }

  void scan_section(FrameRange section, GuestVirt structs) {
    const std::size_t bytes = c_.format_.size();
    const std::uint64_t end = std::min(section.end, range_.end).value;
    // Blocks begin aligned to their size, so no free block crosses this border; a larger compound
    // page may, and is asked for by name.
    std::uint64_t pfn = section.begin.value;
    if (range_.begin > section.begin)
      pfn = std::max(pfn, round_down(range_.begin.value, c_.format_.largest_free_block()));
    if (const std::uint64_t border = end_of_earlier_block(Gfn{pfn}); border > pfn) {
      find_poisoned(pfn, std::min(border, end));
      pfn = border;
    }
    while (pfn < end) {
      const GuestVirt at{structs.value + (pfn - section.begin.value) * bytes};
      const PageStructWindow window = structs_.open(at, end - pfn);
      if (window.count == 0) {
        // Nothing there: the rest of this page of struct pages is unknown.
        const std::uint64_t step =
            std::max<std::uint64_t>((kFrameSize - at.value % kFrameSize) / bytes, 1);
        unknown_.unreadable += dumped({Gfn{pfn}, Gfn{std::min(pfn + step, end)}});
        pfn += step;
        continue;
      }
      const std::uint64_t window_end = pfn + window.count;
      pfn = scan_window(window, pfn);
      find_poisoned(window_end, std::min(pfn, end));
    }
  }

  /// @return the frame after the last block that begins in the window.
  std::uint64_t scan_window(const PageStructWindow& window, std::uint64_t first) {
    const std::size_t bytes = c_.format_.size();
    std::uint64_t i = 0;
    while (i < window.count) {
      const std::byte* page = window.data + i * bytes;
      const std::byte* next = i + 1 < window.count ? page + bytes : nullptr;
      // Beyond the window is nothing to read, but asking for it does no harm.
      __builtin_prefetch(page + kPrefetchBytes);
      const auto verdict = c_.format_.judge(page, next, first + i);
      if (verdict.page_class != PageClass::kKeep)
        set(first + i, first + i + verdict.frames, verdict.page_class);
      else if (verdict.damaged)
        unknown_.damaged += dumped({Gfn{first + i}, Gfn{first + i + 1}});
      if (!is_left_out(verdict.page_class, c_.dump_level_))
        set_poisoned(page, std::min<std::uint64_t>(verdict.frames, window.count - i), first + i);
      i += verdict.frames;
    }
    return first + i;
  }

  /// Those of `count` pages that are marked as poisoned are that, whatever their block is.
  void set_poisoned(const std::byte* pages, std::uint64_t count, std::uint64_t first) {
    for (std::uint64_t i = 0; i < count; ++i)
      if (c_.format_.is_poisoned(pages + i * c_.format_.size()))
        set(first + i, first + i + 1, PageClass::kHardwarePoisoned);
  }

  /// For the part [begin, end) of one block that lies beyond the window in which it begins.
  void find_poisoned(std::uint64_t begin, std::uint64_t end) {
    begin = std::max(begin, range_.begin.value);
    if (begin >= end || is_left_out(classes_[begin - range_.begin.value], c_.dump_level_)) return;
    while (begin < end) {
      const PageStructWindow window = structs_.open_of(Gfn{begin}, end - begin);
      set_poisoned(window.data, window.count, begin);
      begin += std::max<std::uint64_t>(window.count, 1);
    }
  }

  /// The end of a compound page that begins before `start` and covers it, 0 when there is none.
  ///
  /// The page at `start` need not know: where the struct pages of tails are shared
  /// (hugetlb_free_vmemmap) it may look like a head. The true head lies at an aligned frame.
  std::uint64_t end_of_earlier_block(Gfn start) {
    const PageStructWindow probe = structs_.open_of(start, 1);
    if (probe.count == 0 || !(c_.format_.is_tail(probe.data) || c_.format_.is_head(probe.data)))
      return 0;
    for (unsigned order = kMaxCompoundOrder; order > 0; --order) {
      const Gfn head{round_down(start.value, std::uint64_t{1} << order)};
      if (head == start) break;
      const auto block = compound_page_at(head, order);
      if (!block || block->end <= start) continue;
      if (block->page_class != PageClass::kKeep)
        set(start.value, block->end.value, block->page_class);
      return block->end.value;
    }
    return 0;
  }

  struct Block {
    Gfn end;
    PageClass page_class;
  };
  /// @param order  that `head` is aligned to: above a section's it may lie in an earlier one, whose
  ///               struct pages may be gone.
  std::optional<Block> compound_page_at(Gfn head, unsigned order) {
    if (c_.sections_.frames_per_section() >> order == 0) {
      const LargeBlock* large = c_.large_block(head);
      if (large == nullptr) return std::nullopt;
      return Block{Gfn{head.value + (std::uint64_t{1} << large->order)}, large->page_class};
    }
    const PageStructWindow window = structs_.open_of(head, 2);
    if (window.count < 2 || !c_.format_.is_head(window.data)) return std::nullopt;
    const auto verdict = c_.format_.judge(window.data, window.data + c_.format_.size(), head.value);
    return Block{Gfn{head.value + verdict.frames}, verdict.page_class};
  }

  const PageClassifier& c_;
  FrameRange range_;
  PageStructReader structs_;
  BlockCache::Classes& classes_;
  KeptUnknown unknown_;
};

Result<std::unique_ptr<PageClassifier>> PageClassifier::open(const VmcoreSource& source,
                                                             unsigned dump_level) {
  auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout()));
  if (!info) return fail(std::move(info));
  if (info->text("PAGESIZE").value_or("4096") != "4096")
    return fail(ErrorCode::kUnsupported, "pages of another size than 4096 bytes");
  auto format = PageFormat::from(*info);
  if (!format) return fail(std::move(format));
  auto space = AddressSpace::open(source, *info);
  if (!space) return fail(std::move(space));
  auto sections = SectionMap::load(*space, *info, format->size(), source.layout().frames);
  if (!sections) return fail(std::move(sections));
  std::unique_ptr<PageClassifier> classifier(
      new PageClassifier(source, std::move(*space), *format, std::move(*sections), dump_level));
  classifier->find_large_blocks();
  return classifier;
}

PageClassifier::PageClassifier(const VmcoreSource& source, AddressSpace space, PageFormat format,
                               SectionMap sections, unsigned dump_level)
    : source_(&source),
      space_(std::move(space)),
      format_(format),
      sections_(std::move(sections)),
      dump_level_(dump_level),
      blocks_(block_after(source.layout().frames),
              [this](std::uint64_t block, BlockCache::Classes& classes) {
                Scan(*this, block, classes).run();
              }) {}

Result<> PageClassifier::classify(FrameRange range, std::vector<PageRun>& runs) const {
  const std::size_t own = runs.size();
  while (!range.empty()) {
    const std::uint64_t block = range.begin.value / kBlockFrames;
    const Gfn end = std::min(Gfn{(block + 1) * kBlockFrames}, range.end);
    const auto classes = blocks_.get(block);
    append_runs({range.begin, end}, classes->data() + range.begin.value % kBlockFrames, runs, own);
    range.begin = end;
  }
  return {};
}

KeptUnknown PageClassifier::kept_unknown() const {
  return {no_page_struct_, unreadable_, damaged_};
}

void PageClassifier::find_large_blocks() {
  const std::uint64_t per_section = sections_.frames_per_section();
  if (per_section >> kMaxCompoundOrder != 0) return;
  PageStructReader structs(*source_, space_, sections_, format_.size());
  // It begins aligned to its size, so not with an odd section.
  for (std::uint64_t section = 0; section < sections_.end(); section += 2) {
    const Gfn head = sections_.section_range(section).begin;
    const PageStructWindow window = structs.open_of(head, 2);
    if (window.count < 2 || !format_.is_head(window.data)) continue;
    const auto verdict = format_.judge(window.data, window.data + format_.size(), head.value);
    if (verdict.frames > per_section)
      large_blocks_.push_back({static_cast<std::uint32_t>(section),
                               static_cast<std::uint8_t>(std::bit_width(verdict.frames) - 1),
                               verdict.page_class});
  }
}

/// @pre `head` is the first frame of a section.
const PageClassifier::LargeBlock* PageClassifier::large_block(Gfn head) const {
  const std::uint64_t section = sections_.section_of(head);
  const auto found =
      std::partition_point(large_blocks_.begin(), large_blocks_.end(),
                           [=](const LargeBlock& block) { return block.section < section; });
  return found != large_blocks_.end() && found->section == section ? &*found : nullptr;
}

FrameUses PageClassifier::metadata_uses() const {
  FrameUsesBuilder uses;
  const auto dump = source_->layout().frames.ranges();
  const FrameRange everything{dump.front().begin, dump.back().end};
  for (const FrameSet* read_by_open : {&space_.metadata(), &sections_.metadata()})
    for (FrameRange range : read_by_open->ranges()) uses.add(range, everything);
  PageTableWalker walker = space_.walker();
  for (std::uint64_t section = 0; section < sections_.end(); ++section)
    if (const auto structs = sections_.page_structs(section))
      add_uses(walker, *structs, sections_.frames_per_section() * format_.size(),
               asked_for(sections_.section_range(section)), uses);
  // Whoever opens another classifier finds them by their head.
  for (const LargeBlock& block : large_blocks_) {
    const Gfn head = sections_.section_range(block.section).begin;
    const FrameRange frames{head, Gfn{head.value + (std::uint64_t{1} << block.order)}};
    add_uses(walker, *sections_.page_structs(block.section), 2 * format_.size(), asked_for(frames),
             uses);
  }
  return std::move(uses).build();
}

/// What is read for the sake of the struct pages there.
void PageClassifier::add_uses(PageTableWalker& walker, GuestVirt structs, std::uint64_t bytes,
                              FrameRange used_for, FrameUsesBuilder& uses) const {
  FrameRange run{};  // A stretch of struct pages that is contiguous in the memory of the guest.
  std::array<Gfn, PageTableWalker::kMaxLevels> tables{};
  std::size_t levels = 0;
  const std::uint64_t end = structs.value + bytes;
  for (std::uint64_t at = structs.value; at < end;) {
    const auto found = walker.translate(GuestVirt{at});
    for (std::size_t i = 0; i < walker.tables().size(); ++i) {
      const Gfn table = walker.tables()[i];
      if (i < levels && tables[i] == table) continue;
      uses.add({table, Gfn{table.value + 1}}, used_for);
      tables[i] = table;
      levels = i + 1;
    }
    const std::uint64_t step =
        found ? std::min(found->bytes, end - at) : kFrameSize - at % kFrameSize;
    at += step;
    if (!found) continue;
    const Gfn first = frame_of(found->phys);
    const Gfn behind{((found->phys.value + step - 1) >> kFrameShift) + 1};
    if (first > run.end || first < run.begin) {
      uses.add(run, used_for);
      run = {first, first};
    }
    run.end = std::max(run.end, behind);
  }
  uses.add(run, used_for);
}

}  // namespace hadump
