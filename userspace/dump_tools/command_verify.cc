// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/format_range.h"
#include "core/base/text.h"
#include "core/vmcore/open.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/signal_stop.h"
#include "userspace/cli/standard_input.h"
#include "userspace/cli/waiting_vmcore.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

constexpr std::size_t kBatchFrames = 256;
constexpr std::uint64_t kBatchesPerLook = 64;  // at whether to stop
constexpr std::size_t kShownRanges = 20;

po::options_description verify_options(bool with_positional) {
  po::options_description options("Options");
  options.add_options()("help,h", "show this text");
  if (with_positional) options.add_options()("file", po::value<std::vector<std::string>>());
  return options;
}

/// Frames that are lost or damaged: all are counted, the first ranges shown.
class BadFrames {
 public:
  /// @pre ascending from call to call.
  void add(FrameRange range) {
    frames_ += range.frames();
    if (ranges_ > 0 && last_.end == range.begin)
      last_.end = range.end;
    else
      begin(range);
    if (ranges_ <= kShownRanges) shown_[ranges_ - 1] = last_;
  }

  std::uint64_t frames() const { return frames_; }

  void print(std::ostream& out) const {
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(ranges_, kShownRanges); ++i)
      out << "lost or damaged: " << format_range(shown_[i]) << '\n';
    if (ranges_ > kShownRanges) out << fmt::format("and {} more ranges\n", ranges_ - kShownRanges);
  }

 private:
  void begin(FrameRange range) {
    last_ = range;
    ++ranges_;
  }

  std::uint64_t frames_ = 0;
  std::uint64_t ranges_ = 0;
  FrameRange last_{};
  std::array<FrameRange, kShownRanges> shown_{};
};

struct Counts {
  std::uint64_t read = 0;
  std::uint64_t left_out = 0;
  BadFrames bad;
};

/// Reads the frames of a dump that can be in it.
class Reader {
 public:
  Reader(const VmcoreSource& source, const std::function<bool()>& cancelled)
      : source_(source), cancelled_(cancelled), buffer_(kBatchFrames * kFrameSize) {}

  Result<Counts> run() {
    const VmcoreLayout& layout = source_.layout();
    FrameSet claimed = layout.frames;
    claimed.erase(layout.absent);
    counts_.left_out = layout.frames.frames() - claimed.frames();
    auto lost = layout.lost.ranges().begin();
    const auto lost_end = layout.lost.ranges().end();
    for (FrameRange range : claimed.ranges()) {
      for (; lost != lost_end && lost->begin < range.end; ++lost) {
        if (auto done = read_range({range.begin, lost->begin}); !done) return fail(std::move(done));
        counts_.bad.add(*lost);
        range.begin = lost->end;
      }
      if (auto done = read_range(range); !done) return fail(std::move(done));
    }
    return counts_;
  }

 private:
  Result<> read_range(FrameRange range) {
    for (Gfn at = range.begin; at < range.end; at = Gfn{at.value + kBatchFrames}) {
      if (cancelled_ && (at.value / kBatchFrames) % kBatchesPerLook == 0 && cancelled_())
        return fail(ErrorCode::kCancelled, "reading the pages");
      const std::size_t frames = std::min<std::uint64_t>(kBatchFrames, range.end.value - at.value);
      const auto status = std::span(status_).first(frames);
      if (auto done = source_.read(at, std::span(buffer_).first(frames * kFrameSize), status);
          !done)
        return done;
      count(at, status);
    }
    return {};
  }

  void count(Gfn first, std::span<const FrameStatus> status) {
    for (std::size_t i = 0; i < status.size(); ++i) {
      if (status[i] == FrameStatus::kRead) ++counts_.read;
      if (status[i] == FrameStatus::kAbsent) ++counts_.left_out;
      if (status[i] == FrameStatus::kFailed)
        counts_.bad.add({Gfn{first.value + i}, Gfn{first.value + i + 1}});
    }
  }

  const VmcoreSource& source_;
  const std::function<bool()>& cancelled_;
  std::vector<std::byte> buffer_;
  std::array<FrameStatus, kBatchFrames> status_{};
  Counts counts_;
};

int call_verify(const VerifyOptions& options, const CommandCall& call) {
  const SignalStop stop;
  std::string warning;
  const auto source =
      open_inputs(options.files).and_then([&](std::unique_ptr<VmcoreSource> opened) {
        return without_released(std::move(opened), options.files, warning);
      });
  if (!warning.empty()) complain(call, "verify", warning);
  if (!source) {
    complain(call, "verify", source.error().what());
    return kExitFailed;
  }
  const auto files = open_dump_files(options.files);
  if (!files) {
    complain(call, "verify", files.error().what());
    return kExitFailed;
  }
  return run_verify(
      **source, *files, [&stop] { return stop.requested(); }, call);
}

}  // namespace

std::string help_verify(const std::string& program) {
  return help_text(
      program,
      "verify FILE [FILE…]\n"
      "Reads every page of a dump, and checks the tables of a kdump-compressed one.\n"
      "Several files: the parts of one split dump.",
      verify_options(false),
      {{kExitOk, "the dump is complete, and nothing in it is lost or damaged"},
       {kExitFailed, "failed"},
       {kExitUsage, "wrong usage"},
       {kExitIncomplete, "the dump is incomplete, or pages or tables are lost or damaged"},
       {kExitCancelled, "stopped by a signal"}});
}

Result<VerifyOptions> parse_verify(const std::vector<std::string>& args) {
  po::positional_options_description positional;
  positional.add("file", -1);
  auto values = parse_command_line(args, verify_options(true), positional);
  if (!values) return fail(std::move(values));
  VerifyOptions options;
  options.help = values->count("help") > 0;
  if (values->count("file") > 0) options.files = (*values)["file"].as<std::vector<std::string>>();
  if (options.files.empty() && !options.help) return fail(ErrorCode::kBadData, "FILE is needed");
  return options;
}

int run_verify(const VmcoreSource& source, const DumpFiles& files,
               const std::function<bool()>& cancelled, const CommandCall& call) {
  std::ostream& out = call.io.out;
  const auto tables = check_kdump_tables(files, source, cancelled);
  if (!tables) {
    complain(call, "verify", tables.error().what());
    return exit_code_of(tables.error());
  }
  for (const std::string& text : tables->texts) out << "tables: " << text << '\n';
  if (tables->problems > tables->texts.size())
    out << fmt::format("and {} more problems in the tables\n",
                       tables->problems - tables->texts.size());
  const auto counts = Reader(source, cancelled).run();
  if (!counts) {
    if (counts.error().code() != ErrorCode::kCancelled)
      complain(call, "verify", counts.error().what());
    return exit_code_of(counts.error());
  }
  // What no saver came to looks like what it left out.
  const bool incomplete = source.layout().incomplete;
  out << fmt::format("{} pages read, {} left out{}, {} lost or damaged; the dump is marked {}\n",
                     counts->read, counts->left_out, incomplete ? " or never written" : "",
                     counts->bad.frames(), incomplete ? "incomplete" : "complete");
  counts->bad.print(out);
  const bool good = counts->bad.frames() == 0 && tables->problems == 0 && !incomplete;
  return good ? kExitOk : kExitIncomplete;
}

int verify_command(const CommandCall& call) {
  return parse_and_run(call, "verify", parse_verify, help_verify, call_verify);
}

}  // namespace hadump
