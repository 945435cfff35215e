// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/old_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/base/text.h"
#include "core/base/trusted_path.h"
#include "core/save/block_releaser.h"
#include "core/save/dump_contents.h"
#include "core/vmcore/open.h"

namespace hadump {
namespace {

// Two readers of the module's list at once may see a mixture.
constexpr int kLooks = 3;
// So many logs of one name, and the oldest attempt's is of no more use.
constexpr unsigned kMaxLogs = 100;

/// The log's name, or that with ".N" where the log of another dump has it.
HeldFile free_log_name(const SavePlan& plan, const std::string& text) {
  const HeldFile& wanted = *plan.target.log_file;
  HeldFile file = wanted;
  for (unsigned n = 1; n <= kMaxLogs && !plan.own_journal && file.exists() &&
                       read_trusted_text_file(file, text.size()).value_or("") != text;
       ++n)
    file = wanted.beside(fmt::format("{}.{}", wanted.name(), n));
  return file;
}

void save_kernel_log(const SaveContext& context, const SavePlan& plan, const VmcoreSource& source) {
  if (!plan.target.log_file) return;
  const auto text = crashed_kernel_log(source);
  if (!text) {
    context.reporter.warn(
        fmt::format("the crashed kernel's log: {}, continuing", text.error().what()));
    return;
  }
  const HeldFile file = free_log_name(plan, *text);
  if (auto done = file.replace(*text, 0600); !done)
    context.reporter.warn(done.error().what() + ", continuing");
  else
    context.reporter.info("the crashed kernel's log is in " + file.path());
}

}  // namespace

tl::expected<std::unique_ptr<OldMemory>, SaveFailure> OldMemory::open(const SaveContext& context,
                                                                      const SavePlan& plan,
                                                                      FrameLedger& ledger) {
  using Reason = SaveFailure::Reason;
  const auto failure = [](Error error, Reason reason = Reason::kError) {
    return tl::unexpected(SaveFailure{std::move(error), reason, {}});
  };
  auto current = context.seams.open_vmcore(context.options.vmcore);
  if (!current) return failure(std::move(current).error());
  const FrameSet released = ledger.released();
  const FrameSet gone = find_gone(plan, released, (*current)->layout());
  if (!gone.empty()) {
    // A dump must not pass over that in silence.
    const std::string text =
        fmt::format("{} of memory was released earlier, and no save that holds it was found",
                    format_size(gone.bytes()));
    if (!context.options.without_earlier)
      return failure({ErrorCode::kNotFound, text}, Reason::kLacksEarlier);
    context.reporter.warn(text + "; the dump will be incomplete");
  }
  auto merged = merge_memory(plan, std::move(*current), released, gone);
  if (!merged) return failure(std::move(merged).error());

  std::unique_ptr<OldMemory> memory(new OldMemory(context, ledger));
  memory->frames_ = std::move(merged->frames);
  memory->source_ = std::make_unique<WatchedVmcore>(std::move(merged->source));
  if (const std::uint64_t bytes = memory->source_->layout().device_dump_bytes_left_out; bytes != 0)
    context.reporter.warn(
        fmt::format("{} of device dumps are too large for the dump and left out, continuing",
                    format_size(bytes)));
  save_kernel_log(context, plan, *memory->source_);
  memory->open_page_filter();
  return memory;
}

// At every level: reading a page with a hardware error may kill this kernel, too.
void OldMemory::open_page_filter() {
  const auto& levels = context_.options.levels;
  const unsigned in_all =
      std::accumulate(levels.begin(), levels.end(), kMaxDumpLevel, std::bit_and<unsigned>());
  auto opened = open_filter(*source_, levels.empty() ? 0 : in_all);
  if (opened) {
    filter_ = std::make_unique<WatchedFilter>(std::move(opened->filter));
    needed_later_ = std::move(opened->needed_later);
    kept_unknown_ = std::move(opened->kept_unknown);
    return;
  }
  constexpr unsigned kNeedsClasses = kMaxDumpLevel & ~kLevelZero;
  const bool wanted = std::any_of(levels.begin(), levels.end(),
                                  [](unsigned level) { return (level & kNeedsClasses) != 0; });
  const std::string text = opened.error().what() + "; every page is kept, continuing";
  wanted ? context_.reporter.warn(text) : context_.reporter.info(text);
}

Result<> OldMemory::look() {
  Result<> looked;
  for (int i = 0; i < kLooks; ++i) {
    looked = take_a_look(*context_.seams.releaser, ledger_);
    if (looked || looked.error().code() != ErrorCode::kBadData) break;
  }
  return looked;
}

FrameSet OldMemory::told_apart_by(const FrameSet& frames) const {
  FrameSet told;
  for (const FrameUse& use : needed_later_.uses())
    if (frames.overlaps(use.frames)) told.insert(use.used_for);
  return told;
}

Result<ReadCheck> OldMemory::still_valid(const FrameSet& read) {
  if (context_.seams.releaser == nullptr) return ReadCheck::kValid;
  if (auto looked = look(); !looked) return fail(std::move(looked));
  FrameSet news = ledger_.taken();
  news.erase(noticed_);
  if (news.empty()) return ReadCheck::kValid;
  noticed_.insert(news);
  source_->lose(news);
  const FrameSet told_apart = told_apart_by(news);
  if (filter_) filter_->distrust(told_apart);
  const FrameSet lost = news.intersection(ledger_.unsaved());
  if (!lost.empty())
    context_.reporter.warn(fmt::format(
        "{} of memory was released by another process before it was saved and is lost, continuing",
        format_size(lost.bytes())));
  const bool stale = !news.intersection(read).empty() || !told_apart.intersection(read).empty();
  return stale ? ReadCheck::kStale : ReadCheck::kStaleAhead;
}

}  // namespace hadump
