// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_estimate.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <numeric>
#include <optional>
#include <thread>

#include "core/base/text.h"
#include "core/dump/dump_levels.h"
#include "core/save/dump_contents.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/json.h"
#include "userspace/dump_tools/open_for.h"
#include "userspace/dump_tools/page_samples.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description estimate_options(bool with_positional) {
  const std::string codec_text = "the codec to measure: " + codec_help(false);
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("vmcore", po::value<std::vector<std::string>>()->composing()->value_name("FILE"), "as FILE")
      ("to", po::value<std::string>()->default_value("")->value_name("DIR"),
       "check whether the dump fits into this directory")
      ("compress", po::value<std::string>()->default_value("lzo")->value_name("CODEC"), codec_text.c_str())
      ("dump-level", po::value<std::string>()->value_name("N[,N...]"),
       "these levels, as in 1,31, instead of the usual ones")
      ("all-levels", "all levels from 0 to 31")
      ("threads", po::value<unsigned>()->default_value(0)->value_name("N"),
       "number of compressing threads; 0: one per CPU")
      ("json", "print JSON");
  if (with_positional)
    options.add_options()
      ("file", po::value<std::vector<std::string>>());
  // clang-format on
  describe_vmcoreinfo(options);
  return options;
}

/// What is known when the samples are taken.
struct Measured {
  Samples samples{};
  std::uint64_t sampled = 0;
  double pages_per_second = 0;    ///< Read and compressed, by one thread.
  std::uint64_t table_bytes = 0;  ///< Of every dump: headers and both bitmaps.
  unsigned threads = 1;
  std::optional<std::uint64_t> room;  ///< In the target, when there is one.
};

struct LevelEstimate {
  unsigned level = 0;
  std::uint64_t bytes = 0;
  double seconds = 0;
  std::optional<bool> fits;
};

/// A kdump-compressed file at this level: pages, descriptors, bitmaps.
LevelEstimate estimate_level(const Measured& measured, unsigned level) {
  constexpr double kDescriptorBytes = 24;
  double bytes = static_cast<double>(measured.table_bytes);
  double pages = 0;  // That have to be read.
  for (std::size_t i = 0; i < kPageClasses; ++i) {
    const ClassSample& sample = measured.samples[i];
    if (is_left_out(static_cast<PageClass>(i), level)) continue;
    if (sample.frames == 0) continue;
    const auto frames = static_cast<double>(sample.frames);
    const auto share = [&](std::uint64_t of_sampled) {
      return static_cast<double>(of_sampled) / static_cast<double>(sample.sampled);
    };
    const bool known = sample.sampled != 0;
    const bool drops_zero = (level & kLevelZero) != 0;
    const double packed = known ? share(sample.bytes) : static_cast<double>(kFrameSize);
    const double left_out = known ? share(sample.absent + (drops_zero ? sample.zero : 0)) : 0;
    bytes += frames * (packed + (1 - left_out) * kDescriptorBytes);
    pages += frames;
  }
  LevelEstimate estimate{level, static_cast<std::uint64_t>(bytes),
                         pages / measured.pages_per_second / measured.threads, std::nullopt};
  if (measured.room) estimate.fits = estimate.bytes <= *measured.room;
  return estimate;
}

void print_table(const EstimateOptions& options, const Measured& measured,
                 const std::vector<LevelEstimate>& levels, std::ostream& out) {
  out << fmt::format(
      "{} pages sampled: {}/s are read and compressed with {} by {} threads; a slow "
      "target takes longer\n",
      measured.sampled,
      format_size(
          static_cast<std::uint64_t>(measured.pages_per_second * measured.threads * kFrameSize)),
      name_of(options.codec), measured.threads);
  if (measured.room)
    out << fmt::format("free in {}: {}\n", options.to, format_size(*measured.room));
  out << fmt::format("{:>5}  {:>10}  {:>9}{}\n", "LEVEL", "SIZE", "SECONDS",
                     measured.room ? "  FITS" : "");
  for (const LevelEstimate& level : levels)
    out << fmt::format("{:>5}  {:>10}  {:>9.1f}{}\n", level.level, format_size(level.bytes),
                       level.seconds,
                       !level.fits   ? ""
                       : *level.fits ? "   yes"
                                     : "    NO");
}

void print_json(const EstimateOptions& options, const Measured& measured,
                std::uint64_t memory_bytes, const std::vector<LevelEstimate>& levels,
                std::ostream& out) {
  Json json;
  json["memory_bytes"] = memory_bytes;
  json["pages_sampled"] = measured.sampled;
  json["codec"] = name_of(options.codec);
  json["threads"] = measured.threads;
  json["bytes_per_second"] =
      static_cast<std::uint64_t>(measured.pages_per_second * measured.threads * kFrameSize);
  json["free_bytes"] = measured.room ? Json(*measured.room) : Json();
  json["levels"] = Json::array();
  for (const LevelEstimate& level : levels)
    json["levels"].push_back({{"level", level.level},
                              {"bytes", level.bytes},
                              {"seconds", std::round(level.seconds * 1000) / 1000},
                              {"fits", level.fits ? Json(*level.fits) : Json()}});
  out << json_text(json) << '\n';
}

Result<std::uint64_t> free_bytes(const std::string& directory) {
  struct statvfs disk {};
  if (::statvfs(directory.c_str(), &disk) != 0) return fail_os(errno, "looking at " + directory);
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

Result<Measured> measure(const EstimateOptions& options, const VmcoreSource& source,
                         const PageFilter* filter, const Clock& clock) {
  Measured measured;
  if (!options.to.empty()) {
    auto room = free_bytes(options.to);
    if (!room) return fail(std::move(room), "--to");
    measured.room = *room;
  }
  std::unique_ptr<PageCompressor> compressor;
  if (options.codec.codec != nullptr) {
    auto made = make_compressor(options.codec);
    if (!made) return fail(std::move(made));
    compressor = std::move(*made);
  }
  const auto started = clock.now();
  auto samples = take_samples(source, filter, compressor.get());
  if (!samples) return fail(std::move(samples));
  measured.samples = *samples;
  for (const ClassSample& sample : measured.samples) measured.sampled += sample.sampled;
  const auto ms = std::max<std::int64_t>(1, (clock.now() - started).count());
  if (measured.sampled == 0) return fail(ErrorCode::kBadData, "no page could be read");
  measured.pages_per_second =
      static_cast<double>(measured.sampled) * 1000 / static_cast<double>(ms);
  // At least one: hardware_concurrency() may not know.
  measured.threads =
      options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  measured.table_bytes = dump_table_bytes(source.layout());
  return measured;
}

// Of what waits, or else of what runs.
std::string default_source() {
  const bool waits = ::access("/sys/kernel/release_region", F_OK) == 0;
  return waits ? "/proc/vmcore" : "/proc/kcore";
}

int call_estimate(const EstimateOptions& options, const CommandCall& call) {
  std::vector<std::string> files = options.vmcore;
  if (files.empty() && call.needs_file)
    return usage_error(call, "estimate", Error(ErrorCode::kBadData, "FILE is needed"));
  if (files.empty()) files = {default_source()};
  const auto source = open_for(call, "estimate", files, options.vmcoreinfo);
  if (!source && files.front() == "/proc/kcore")
    call.io.err << "What to do next: run it as root; if the kernel is locked down or has no "
                   "/proc/kcore, name a dump: estimate FILE\n";
  return source ? run_estimate(options, *source, SteadyClock(), call) : kExitFailed;
}

}  // namespace

std::string help_estimate(const std::string& program) {
  return help_text(program,
                   "estimate [options] [FILE…]\n"
                   "Predicts how large a dump would be, and how long it would take: of the\n"
                   "dump FILE or, in a guest, of the dump that waits, else of the running\n"
                   "system. Several files: the parts of one split dump.",
                   estimate_options(false),
                   {{kExitOk, "success"},
                    {kExitFailed, "failed"},
                    {kExitUsage, "wrong usage"},
                    {kExitTargetFull, "not even the smallest dump fits into --to"}});
}

Result<EstimateOptions> parse_estimate(const std::vector<std::string>& args) {
  po::positional_options_description positional;
  positional.add("file", -1);
  auto values = parse_command_line(args, estimate_options(true), positional);
  if (!values) return fail(std::move(values));
  EstimateOptions options;
  options.help = values->count("help") > 0;
  if (values->count("vmcore") > 0)
    options.vmcore = (*values)["vmcore"].as<std::vector<std::string>>();
  if (values->count("file") > 0)
    for (const std::string& file : (*values)["file"].as<std::vector<std::string>>())
      options.vmcore.push_back(file);
  options.to = (*values)["to"].as<std::string>();
  auto codec = parse_codec((*values)["compress"].as<std::string>());
  if (!codec) return fail(std::move(codec), "--compress");
  options.codec = *codec;
  if (options.codec.is_automatic)
    return fail(ErrorCode::kBadData,
                "--compress: auto chooses while a dump is written; name the codec to measure");
  options.json = values->count("json") > 0;
  options.vmcoreinfo = vmcoreinfo_option(*values);
  auto threads = threads_option(*values);
  if (!threads) return fail(std::move(threads));
  options.threads = *threads;
  if (values->count("dump-level") > 0) {
    auto levels = parse_levels((*values)["dump-level"].as<std::string>());
    if (!levels) return fail(std::move(levels), "--dump-level");
    options.levels = std::move(*levels);
  }
  if (values->count("all-levels") > 0) {
    options.levels.resize(kMaxDumpLevel + 1);
    std::iota(options.levels.begin(), options.levels.end(), 0U);
  }
  return options;
}

int run_estimate(const EstimateOptions& options, const VmcoreSource& source, const Clock& clock,
                 const CommandCall& call) {
  const auto opened = open_filter(source);
  if (!opened) complain(call, "estimate", opened.error().what() + ", continuing");
  const auto measured = measure(options, source, opened ? opened->filter.get() : nullptr, clock);
  if (!measured) {
    complain(call, "estimate", measured.error().what());
    return kExitFailed;
  }
  std::vector<LevelEstimate> levels;
  for (unsigned level : options.levels) levels.push_back(estimate_level(*measured, level));
  if (options.json)
    print_json(options, *measured, source.layout().frames.bytes(), levels, call.io.out);
  else
    print_table(options, *measured, levels, call.io.out);
  const bool none_fits = std::all_of(levels.begin(), levels.end(), [](const LevelEstimate& level) {
    return level.fits == std::optional(false);
  });
  return none_fits ? kExitTargetFull : kExitOk;
}

int estimate_command(const CommandCall& call) {
  return parse_and_run(call, "estimate", parse_estimate, help_estimate, call_estimate);
}

}  // namespace hadump
