// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/format_range.h"
#include "core/base/text.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/signal_stop.h"
#include "userspace/dump_tools/open_for.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

constexpr std::size_t kBatchFrames = 256;
constexpr std::size_t kShownRanges = 20;

po::options_description describe(bool with_positional) {
  po::options_description options("Options");
  options.add_options()("help,h", "show this text");
  if (with_positional) options.add_options()("file", po::value<std::vector<std::string>>());
  return options;
}

struct Counts {
  std::uint64_t read = 0;
  std::uint64_t left_out = 0;
  FrameSet bad;
};

Result<> read_range(const VmcoreSource& source, FrameRange range, Counts& counts,
                    std::vector<std::byte>& buffer) {
  std::array<FrameStatus, kBatchFrames> status{};
  for (Gfn at = range.begin; at < range.end; at = Gfn{at.value + kBatchFrames}) {
    const std::size_t frames = std::min<std::uint64_t>(kBatchFrames, range.end.value - at.value);
    const auto statuses = std::span(status).first(frames);
    if (auto done = source.read(at, std::span(buffer).first(frames * kFrameSize), statuses); !done)
      return done;
    for (std::size_t i = 0; i < frames; ++i) {
      if (status[i] == FrameStatus::kRead) ++counts.read;
      if (status[i] == FrameStatus::kAbsent) ++counts.left_out;
      if (status[i] == FrameStatus::kFailed)
        counts.bad.insert({Gfn{at.value + i}, Gfn{at.value + i + 1}});
    }
  }
  return {};
}

int run(const VerifyOptions& options, const CommandCall& call) {
  const SignalStop stop;
  const auto source = open_for(call, "verify", options.files);
  if (!source) return kExitFailed;
  const auto files = open_dump_files(options.files);
  if (!files) {
    complain(call, "verify", files.error().what());
    return kExitFailed;
  }
  return run_verify(
      *source, *files, [&stop] { return stop.requested(); }, call);
}

}  // namespace

std::string help_verify(const std::string& program) {
  return help_text(program, "verify FILE [FILE…]\nSeveral files: the parts of one split dump.",
                   describe(false));
}

Result<VerifyOptions> parse_verify(const std::vector<std::string>& args) {
  po::positional_options_description positional;
  positional.add("file", -1);
  auto values = parse_command_line(args, describe(true), positional);
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
  Counts counts;
  std::vector<std::byte> buffer(kBatchFrames * kFrameSize);
  constexpr std::uint64_t kStep = 64_MiB >> kFrameShift;
  for (FrameRange range : source.layout().frames.ranges())
    for (Gfn at = range.begin; at < range.end; at = Gfn{at.value + kStep}) {
      if (cancelled && cancelled()) return kExitCancelled;
      const Gfn end = std::min(range.end, Gfn{at.value + kStep});
      if (auto done = read_range(source, {at, end}, counts, buffer); !done) {
        complain(call, "verify", done.error().what());
        return kExitFailed;
      }
    }
  out << fmt::format("{} pages read, {} left out, {} lost or damaged; the dump is marked {}\n",
                     counts.read, counts.left_out, counts.bad.frames(),
                     source.layout().incomplete ? "incomplete" : "complete");
  std::size_t shown = 0;
  for (FrameRange range : counts.bad.ranges()) {
    if (shown++ == kShownRanges) {
      out << fmt::format("and {} more ranges\n", counts.bad.ranges().size() - kShownRanges);
      break;
    }
    out << "lost or damaged: " << format_range(range) << '\n';
  }
  const bool good = counts.bad.empty() && tables->problems == 0 && !source.layout().incomplete;
  return good ? kExitOk : kExitIncomplete;
}

int verify_command(const CommandCall& call) {
  return parse_and_run(call, "verify", parse_verify, help_verify, run);
}

}  // namespace hadump
