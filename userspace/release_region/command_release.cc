// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_release.h"

#include <fmt/format.h>

#include "core/abi/hadump_abi.h"
#include "core/base/format_range.h"
#include "core/base/text.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/release_region/sysfs_releaser.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description release_options(bool with_positional) {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("dry-run,n", "show what would be released and whether it is held; change nothing");
  if (with_positional)
    options.add_options()
      ("range", po::value<std::vector<std::string>>());
  // clang-format on
  return options;
}

Result<FrameRange> parse_range(const std::string& start_text, const std::string& length_text) {
  const auto start = parse_hex(start_text);
  if (!start) return fail(Result<std::uint64_t>(start), "START");
  const auto length = parse_hex(length_text);
  if (!length) return fail(Result<std::uint64_t>(length), "LENGTH");
  if (*length == 0) return fail(ErrorCode::kBadData, "LENGTH is 0");
  if (!is_aligned(*start, kFrameSize) || !is_aligned(*length, kFrameSize))
    return fail(ErrorCode::kBadData, "START and LENGTH must be multiples of 0x1000");
  if (*start > HADUMP_MAX_ADDRESS || *length > HADUMP_MAX_ADDRESS - *start)
    return fail(ErrorCode::kBadData, "the range extends past the end of all memory");
  return frames_of_bytes(*start, *length);
}

int dry_run(FrameRange range, RegionReleaser& releaser, Streams io) {
  const auto table = releaser.regions();
  if (!table) {
    io.err << "release-region release: " << table.error().what() << '\n';
    return exit_code_of(table.error());
  }
  FrameSet free_to_go = table->in_state(RegionState::kHeld);
  free_to_go.insert(table->in_state(RegionState::kHole));
  const FrameSet save_area = table->in_state(RegionState::kSaveArea);
  const bool is_save_area = save_area.ranges().size() == 1 && save_area.ranges()[0] == range;
  if (!is_save_area && !free_to_go.contains(range)) {
    io.err << fmt::format("release-region release: {} is not entirely held\n", format_range(range));
    return kExitFailed;
  }
  io.out << fmt::format("would release {}, {}\n", format_range(range), format_size(range.bytes()));
  return kExitOk;
}

int call_release(const ReleaseOptions& options, const CommandCall& call) {
  const auto dump = read_waiting_dump(kKernelDir);
  if (!dump) return no_dump(call, "release", dump.error());
  SysfsReleaser releaser(kKernelDir);
  return run_release(options, releaser, call.io);
}

}  // namespace

std::string help_release(const std::string& program) {
  return help_text(
      program,
      "release START LENGTH [--dry-run]\n"
      "Gives one range of the old memory back, whether or not it has been saved.\n"
      "START and LENGTH are hexadecimal byte values, multiples of 0x1000. Releasing cannot be\n"
      "undone: released memory can no longer be saved.",
      release_options(false),
      {{kExitOk, "success"},
       {kExitFailed, "failed, or not entirely held"},
       {kExitUsage, "wrong usage"},
       {kExitNothing, "no dump waits"}});
}

Result<ReleaseOptions> parse_release(const std::vector<std::string>& args) {
  po::positional_options_description positional;
  positional.add("range", 2);
  auto values = parse_command_line(args, release_options(true), positional);
  if (!values) return fail(std::move(values));

  ReleaseOptions options;
  options.help = values->count("help") > 0;
  options.dry_run = values->count("dry-run") > 0;
  if (options.help) return options;
  const auto words = values->count("range") > 0 ? (*values)["range"].as<std::vector<std::string>>()
                                                : std::vector<std::string>();
  if (words.size() != 2) return fail(ErrorCode::kBadData, "START and LENGTH are needed");
  auto range = parse_range(words[0], words[1]);
  if (!range) return fail(std::move(range));
  options.range = *range;
  return options;
}

int run_release(const ReleaseOptions& options, RegionReleaser& releaser, Streams io) {
  if (options.dry_run) return dry_run(options.range, releaser, io);
  if (auto done = releaser.release(options.range); !done) {
    io.err << "release-region release: " << done.error().what() << '\n';
    return exit_code_of(done.error());
  }
  io.out << fmt::format("released {}, {}\n", format_range(options.range),
                        format_size(options.range.bytes()));
  return kExitOk;
}

int release_command(const CommandCall& call) {
  return parse_and_run(call, "release", parse_release, help_release, call_release);
}

}  // namespace hadump
