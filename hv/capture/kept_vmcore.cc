// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/kept_vmcore.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/trusted_path.h"
#include "core/save/dump_contents.h"
#include "core/save/earlier_save.h"
#include "core/save/gone_frames.h"
#include "core/save/journal.h"
#include "core/vmcore/open.h"

namespace hadump {
namespace {

// The writer may be renaming the file.
constexpr int kLooks = 3;

}  // namespace

/// What the capture has written so far.
struct KeptVmcore::Saved {
  /// Of the journal, which only grows until it is gone.
  struct Version {
    ino_t inode = 0;
    off_t bytes = 0;
    bool operator==(const Version&) const = default;
  };
  static std::optional<Version> version_of(const HeldFile& journal) {
    struct stat info {};
    const auto fd = journal.open(O_PATH);
    if (!fd || ::fstat(fd->get(), &info) != 0) return {};
    return Version{info.st_ino, info.st_size};
  }

  std::optional<Version> journal;  ///< nothing: there is none
  FrameSet durable;
  std::unique_ptr<VmcoreSource> source;  ///< null: nothing is durable
};

/// The frames that a caller wants, and where they go.
struct KeptVmcore::Batch {
  FrameRange range;
  std::span<std::byte> out;
  std::span<FrameStatus> status;

  std::span<std::byte> out_of(FrameRange piece) const {
    return out.subspan((piece.begin.value - range.begin.value) * kFrameSize, piece.bytes());
  }
  std::span<FrameStatus> status_of(FrameRange piece) const {
    return status.subspan(piece.begin.value - range.begin.value, piece.frames());
  }
  void lose(FrameRange piece) const {
    std::ranges::fill(out_of(piece), std::byte{0});
    std::ranges::fill(status_of(piece), FrameStatus::kFailed);
  }
};

KeptVmcore::KeptVmcore(const GuestMemory& memory, const DomainFacts& facts, const KeptDump& dump,
                       HeldFile file, std::function<Result<>()> is_ours)
    : domain_(memory, facts),
      dump_(dump),
      file_(std::move(file)),
      journal_(journal_beside(file_)),
      is_ours_(std::move(is_ours)),
      kept_(domain_.layout().frames) {}

Result<std::unique_ptr<KeptVmcore>> KeptVmcore::open(const GuestMemory& memory,
                                                     const DomainFacts& facts, const KeptDump& dump,
                                                     std::function<Result<>()> is_ours) {
  auto file = hold_trusted(dump.file);
  if (!file) return fail(std::move(file));
  std::unique_ptr<KeptVmcore> kept(
      new KeptVmcore(memory, facts, dump, std::move(*file), std::move(is_ours)));
  if (auto done = kept->leave_out(dump.level); !done) return fail(std::move(done));
  return kept;
}

// Where pages cannot be told apart the capture keeps all of them, too.
Result<> KeptVmcore::leave_out(unsigned level) {
  auto saved = look();
  if (!saved) return fail(std::move(saved));
  FrameSet kept;
  for (FrameRange range : (*saved)->durable.ranges()) {
    auto present = (*saved)->source->present_in(range);
    if (!present) return fail(std::move(present));
    kept.insert(*present);
  }
  FrameSet rest = kept_;
  rest.erase((*saved)->durable);
  FrameSet wanted;
  const auto filter = open_filter(*this, level);
  for_each_run(rest, filter ? filter->filter.get() : nullptr, [&](const PageRun& run) {
    if (!is_left_out(run.page_class, level)) wanted.insert(run.frames);
  });
  kept.insert(wanted);
  kept_ = std::move(kept);
  return {};
}

Result<> KeptVmcore::read(Gfn first, std::span<std::byte> out,
                          std::span<FrameStatus> status) const {
  const Batch batch{{first, Gfn{first.value + status.size()}}, out, status};
  std::ranges::fill(out, std::byte{0});
  std::ranges::fill(status, FrameStatus::kAbsent);
  const FrameSet wanted = kept_.intersection(batch.range);
  if (wanted.empty()) return {};
  FrameSet in_domain = wanted;
  {
    const std::lock_guard lock(mutex_);
    if (saved_) in_domain.erase(saved_->durable.intersection(batch.range));
  }
  for (FrameRange piece : in_domain.ranges())
    if (!read_domain(piece, batch)) batch.lose(piece);
  auto saved = look();
  if (!saved) return fail(std::move(saved));
  const FrameSet in_file = wanted.intersection((*saved)->durable.intersection(batch.range));
  for (FrameRange piece : in_file.ranges())
    if (auto done =
            (*saved)->source->read(piece.begin, batch.out_of(piece), batch.status_of(piece));
        !done)
      return done;
  FrameSet nowhere = wanted;
  nowhere.erase(in_domain);
  nowhere.erase(in_file);
  for (FrameRange piece : nowhere.ranges()) batch.lose(piece);
  return {};
}

bool KeptVmcore::read_domain(FrameRange range, const Batch& batch) const {
  if (!domain_.read(range.begin, batch.out_of(range), batch.status_of(range))) return false;
  const std::lock_guard lock(mutex_);
  return is_ours_().has_value();
}

Result<std::shared_ptr<const KeptVmcore::Saved>> KeptVmcore::look() const {
  const std::lock_guard lock(mutex_);
  const auto version = Saved::version_of(journal_);
  const bool may_have_ended = !version && saved_ && saved_->source == nullptr;
  if (saved_ && saved_->journal == version && !may_have_ended) return saved_;
  auto fresh = look_again();
  for (int i = 1; !fresh && i < kLooks; ++i) fresh = look_again();
  if (fresh) saved_ = *fresh;
  return fresh;
}

Result<std::shared_ptr<const KeptVmcore::Saved>> KeptVmcore::look_again() const {
  return journal_.exists() ? look_at_journal() : look_at_file();
}

Result<std::shared_ptr<const KeptVmcore::Saved>> KeptVmcore::look_at_journal() const {
  auto saved = std::make_shared<Saved>();
  saved->journal =
      Saved::version_of(journal_);  // before it is read: what comes meanwhile is seen later
  auto saves = look_at_saves(journal_, dump_.dump_id);
  if (!saves) return fail(std::move(saves));
  for (const EarlierSave& save : *saves) saved->durable.insert(save.content.durable);
  if (saved->durable.empty()) return saved;
  auto merged = merge_with_earlier(std::make_unique<GoneFrames>(FrameSet()), {}, *saves, {});
  if (!merged) return fail(std::move(merged));
  saved->source = std::move(*merged);
  return saved;
}

// Before the capture writes there is no file of the name, or it would have been refused.
Result<std::shared_ptr<const KeptVmcore::Saved>> KeptVmcore::look_at_file() const {
  auto saved = std::make_shared<Saved>();
  if (!file_.exists()) return saved;
  auto opened = file_.open(O_RDONLY).and_then(
      [&](UniqueFd fd) { return OpenedFile::take(std::move(fd), file_.path()); });
  if (!opened) return fail(std::move(opened));
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::move(*opened));
  auto source = open_vmcore(std::move(files));
  if (!source) return fail(std::move(source));
  saved->source = std::move(*source);
  saved->durable = domain_.layout().frames;
  return saved;
}

}  // namespace hadump
