// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/dump/dump_options.h"
#include "core/dump/progress.h"
#include "core/dump/sink.h"
#include "core/vmcore/page_filter.h"
#include "core/vmcore/source.h"

namespace hadump {

/// Frames that were made durable at one dump level.
struct LevelStep {
  unsigned level = 0;
  FrameSet frames;
  bool operator==(const LevelStep&) const = default;
};

/// What came of a dump.
struct DumpSummary {
  DumpProgress progress;
  /// Unreadable frames; the dump records just them as lost. Of more than kMaxLostRanges ranges,
  /// small gaps are counted in; progress.frames_missing is exact.
  FrameSet missing;
  bool complete = true;  ///< Every frame was saved or left out by the level: no loss, not even
                         ///< in the source.
  std::vector<std::string> locations;  ///< One per sink.
  std::vector<std::uint64_t> sizes;    ///< Bytes of each file.
};

/// Most that is under way between two durable moments; bounds the tables kept in memory.
inline constexpr std::uint64_t kMaxPortionBytes = 256_MiB;

/// Writes one dump, portion by portion, so that memory can be given back while it is written:
///
///   auto writer = DumpWriter::create(source, filter, held, options, std::move(sinks));
///   for (FrameSet portion; !(portion = (*writer)->next_portion(256_MiB)).empty();) {
///     write_portion(portion); make_durable(); /* only now: */ release(portion);
///   }
///   finish();
///
/// At every moment the file is readable and says that it is incomplete; every frame whose
/// make_durable() returned reads back from it, all others read as lost. Being killed, or losing
/// power, therefore costs only what is still held. After that, a new writer for the frames that
/// are still held, with other sinks, saves the rest.
///
/// A sink that cannot rewrite gets its tables and an end as far as possible when the writer is
/// destroyed, whatever happened: what it has then is a readable dump that says it is incomplete.
///
/// Between the calls the workers go on with what next_portion() would say: frames that are still to
/// be written are read at any time, frames that were written are not read again.
///
/// Memory: at most 64 MiB + 1 MiB for each worker, whatever the size of the machine.
/// Output does not depend on the number of workers (except with an automatic codec).
/// Threads: all functions from one thread; the workers are inside.
class DumpWriter {
 public:
  /// Writes headers and empty tables.
  ///
  /// @param source  borrowed; must outlive the writer.
  /// @param filter  borrowed, may be null (nothing but zero pages is told apart then).
  /// @param frames  what the dump is to hold: the source's layout, or what is still held of it.
  /// @param sinks   one, or as many as the format allows: the dump is striped over them in the
  /// split form,
  ///                at borders that a sample of the pages says to balance the bytes.
  /// @return kBadData for an empty or absurd layout or level; kUnsupported for a combination that
  ///         the format has no room for; the sinks' errors.
  static Result<std::unique_ptr<DumpWriter>> create(const VmcoreSource& source,
                                                    const PageFilter* filter, FrameSet frames,
                                                    DumpOptions options,
                                                    std::vector<std::unique_ptr<DumpSink>> sinks);
  virtual ~DumpWriter() = default;

  /// Continues partial files, before anything else is written: produces once more what they hold
  /// already, for the sinks to compare, and then tells them that new data follows.
  /// @param steps  what the files hold, in the order of writing.
  /// @return as write_portion() and make_durable(). kBadData when the files hold something else:
  ///         they are unchanged, and the writer can only be destroyed.
  virtual Result<> adopt(std::span<const LevelStep> steps) = 0;

  /// The next frames to write, about `max_bytes` of them: ascending, for several sinks a part of
  /// each one's range, so that all devices are kept busy. Empty when all has been written.
  virtual FrameSet next_portion(std::uint64_t max_bytes) const = 0;

  /// Reads, filters, compresses and writes these frames. Frames of `frames` that are passed over
  /// cannot be written later: the file's tables are in ascending order. Portions of more than
  /// kMaxPortionBytes are made durable in steps of that size. A portion that failed may be given
  /// again as it was: the steps of it that are durable are passed over.
  ///
  /// Unreadable frames are recorded as lost, which is not an error.
  /// @return kNoSpace, kOs: the sinks' errors. The writer is then back at the last durable step,
  ///         and so is the file except for unused bytes at its end: the caller may go on from
  ///         there, at a higher level for instance, with what next_portion() says. kCancelled
  ///         likewise; or with the same portion. kBusy: what was read is not valid any more, and
  ///         the sink cannot take it back. kBadData when `portion` is not part of what is
  ///         still to be written. After an error on a sink that cannot rewrite, the writer can only
  ///         be destroyed.
  virtual Result<> write_portion(const FrameSet& portion) = 0;

  /// When this returns Ok, all frames of the portions so far are safe and may be released.
  /// @return kNoSpace when the target turned out to be full only now: as write_portion(), so the
  ///         last portion is to be written again, at a higher level for instance. The sinks' other
  ///         errors: nothing of the last portion may then be released, and the writer can only be
  ///         destroyed (what had become durable before stays). kUnsupported for a sink that cannot
  ///         promise it (a pipe): the file is as good as it gets, and the caller decides.
  virtual Result<> make_durable() = 0;

  /// From the next portion on. Lowering the level is allowed too. @pre level <= kMaxDumpLevel.
  virtual void set_dump_level(unsigned level) = 0;

  /// Makes the last portion durable, completes the tables and gives the file its final name. A dump
  /// with unreadable frames gets its final name too, but stays flagged incomplete, because readers
  /// look for lost pages only then. Call nothing but summary() after this.
  /// @return kIncomplete when frames were never written: the file keeps its temporary name.
  virtual Result<DumpSummary> finish() = 0;

  /// May be called at any time, also after a failure. What is told of progress is what
  /// on_progress would be told.
  virtual DumpSummary summary() const = 0;
};

}  // namespace hadump
