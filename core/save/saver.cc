// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/saver.h"

#include <limits>

namespace hadump {

Result<> Saver::write_with_fallback(FrameSet& portion) {
  auto written = writer_.write_portion(portion);
  while (!written && written.error().code() == ErrorCode::kNoSpace &&
         next_fallback_ < options_.fallback_levels.size()) {
    if (auto noted = fall_back(portion); !noted) return noted;
    if (portion.empty()) break;
    auto again = writer_.write_portion(portion);
    // What was given to a pipe cannot be taken back: the reason stays the first one.
    if (!again && again.error().code() == ErrorCode::kBusy) break;
    written = std::move(again);
  }
  return written;
}

/// To the next level, with what is still to be written of `portion`. The first steps of a large
/// portion are durable already, and at the level of before.
Result<> Saver::fall_back(FrameSet& portion) {
  FrameSet rest =
      portion.intersection(writer_.next_portion(std::numeric_limits<std::uint64_t>::max()));
  portion.erase(rest);
  if (!portion.empty())
    if (auto noted = note_durable(portion); !noted) return noted;
  portion = std::move(rest);
  options_.level = options_.fallback_levels[next_fallback_++];
  writer_.set_dump_level(options_.level);
  return {};
}

// A checkpoint may be what finds the disk full: the writer has gone back to the one before then.
Result<> Saver::make_durable_with_fallback(FrameSet& portion) {
  for (;;) {
    if (auto written = write_with_fallback(portion); !written) return written;
    auto durable = writer_.make_durable();
    if (durable || durable.error().code() != ErrorCode::kNoSpace ||
        next_fallback_ == options_.fallback_levels.size())
      return durable;
    if (auto noted = fall_back(portion); !noted) return noted;
  }
}

Result<> Saver::note_durable(const FrameSet& frames) {
  const FrameSet newly_lost = writer_.summary().missing.intersection(frames);
  if (record_ != nullptr)
    if (auto noted = record_->add_durable(frames, newly_lost, options_.level); !noted) {
      may_note_ = false;
      return noted;
    }
  return ledger_.note_durable(frames, newly_lost);
}

Result<> Saver::save_portion(const FrameSet& portion) {
  FrameSet rest = portion;  // What was not noted yet.
  auto durable = make_durable_with_fallback(rest);
  // A pipe promises nothing: what went into it stays held.
  const bool promised = durable || durable.error().code() != ErrorCode::kUnsupported;
  if (!durable && promised) return durable;
  if (!promised) return {};

  if (!rest.empty())
    if (auto noted = note_durable(rest); !noted) return noted;
  // From here on the portion may go.
  if (releaser_ != nullptr) release_with(portion);
  return {};
}

/// Of a portion that did not fit at the last level: smaller and smaller pieces, so that the dump
/// has the pages that there was room for.
void Saver::save_what_fits() {
  constexpr std::uint64_t kSmallestPiece = 64_KiB;
  for (std::uint64_t bytes = options_.portion_bytes / 2; bytes >= kSmallestPiece; bytes /= 2)
    while (may_note_) {
      const FrameSet piece = writer_.next_portion(bytes);
      if (piece.empty()) return;
      auto written = writer_.write_portion(piece);
      if (written) written = writer_.make_durable();
      if (!written && written.error().code() == ErrorCode::kNoSpace) break;
      if (!written || !note_durable(piece)) return;
      if (releaser_ != nullptr) release_with(piece);
    }
}

void Saver::release_with(const FrameSet& portion) {
  FrameSet around = portion;
  for (FrameRange saved : portion.ranges()) {
    const auto first = waiting_.lower_bound(saved.begin), last = waiting_.lower_bound(saved.end);
    for (auto waits = first; waits != last; ++waits) around.insert(waits->second);
    waiting_.erase(first, last);
  }
  releaser_->release_around(around, [this](FrameRange block) { return is_not_needed(block); });
}

/// A block that has to wait for other frames is noted: it is asked for again when they are saved.
bool Saver::is_not_needed(FrameRange block) {
  const auto last_use = needed_later_.last_use(block, ledger_.unsaved());
  if (last_use) waiting_[*last_use].insert(block);
  // A later run may want to tell what was lost apart.
  return !last_use && !needed_later_.needed(block, ledger_.lost());
}

Result<> Saver::save_portions() {
  // What an earlier run has saved but not released, and blocks without anything to save.
  if (releaser_ != nullptr)
    releaser_->release_everywhere([this](FrameRange block) { return is_not_needed(block); });
  for (;;) {
    const FrameSet portion = writer_.next_portion(options_.portion_bytes);
    if (portion.empty()) return {};
    if (auto saved = save_portion(portion); !saved) {
      if (saved.error().code() == ErrorCode::kNoSpace) save_what_fits();
      return saved;  // Why the dump is not whole.
    }
  }
}

}  // namespace hadump
