#include "userspace/command_estimate.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>

#include "core/base/text.h"
#include "core/dump/page_test.h"
#include "userspace/command_line.h"
#include "userspace/engine.h"
#include "userspace/exit_codes.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

constexpr std::array<unsigned, 6> kLevels{0, 1, 16, 17, 23, 31};
// Enough for a figure of two digits, few enough for a second.
constexpr std::uint64_t kSamples = 16384;

po::options_description describe() {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("vmcore", po::value<std::string>()->default_value(""),
       "look at this dump; else at the waiting one, else at the running system (/proc/kcore)")
      ("to", po::value<std::string>()->default_value(""), "does it fit into this directory?")
      ("compress", po::value<std::string>()->default_value("lzo"), "as for save");
  // clang-format on
  return options;
}

/// What the sampled pages of one class came to.
struct ClassSample {
  std::uint64_t frames = 0;  ///< All of the class.
  std::uint64_t sampled = 0;
  std::uint64_t zero = 0;
  std::uint64_t bytes = 0;  ///< Compressed, of the sampled pages that are not zero.
};
using Samples = std::array<ClassSample, kPageClasses>;

void sample_page(const VmcoreSource& source, Gfn gfn, PageCompressor* compressor,
                 ClassSample& sample) {
  alignas(std::uint64_t) std::array<std::byte, kFrameSize> page{};
  std::array<std::byte, kMaxCompressedPage> packed{};
  FrameStatus status = FrameStatus::kFailed;
  if (!source.read(gfn, page, {&status, 1}) || status != FrameStatus::kRead) return;
  ++sample.sampled;
  if (is_zero_page(page)) {
    ++sample.zero;
    return;
  }
  const std::size_t size = compressor == nullptr ? kFrameSize : compressor->compress(page, packed);
  sample.bytes += std::min(size, kFrameSize);
}

Samples take_samples(const VmcoreSource& source, const PageFilter* filter,
                     PageCompressor* compressor) {
  Samples samples{};
  const std::uint64_t stride =
      std::max<std::uint64_t>(1, source.layout().frames.frames() / kSamples);
  std::vector<PageRun> runs;
  std::uint64_t next = 0;
  for (FrameRange range : source.layout().frames.ranges()) {
    runs.assign(1, {range, PageClass::kKeep});
    if (filter != nullptr) {
      runs.clear();
      if (!filter->classify(range, runs)) runs.assign(1, {range, PageClass::kKeep});
    }
    for (const PageRun& run : runs) {
      ClassSample& sample = samples[static_cast<std::size_t>(run.page_class)];
      sample.frames += run.frames.frames();
      next = std::max(next, run.frames.begin.value);
      const bool readable =
          run.page_class != PageClass::kHardwarePoisoned && run.page_class != PageClass::kOffline;
      for (; readable && next < run.frames.end.value; next += stride)
        sample_page(source, Gfn{next}, compressor, sample);
    }
  }
  return samples;
}

/// Bytes of a kdump-compressed file at this level, descriptors included.
std::uint64_t size_at(const Samples& samples, unsigned level) {
  constexpr std::uint64_t kDescriptorBytes = 24;
  double bytes = 0;
  for (std::size_t i = 0; i < kPageClasses; ++i) {
    const ClassSample& sample = samples[i];
    if (is_left_out(static_cast<PageClass>(i), level)) continue;
    const auto frames = static_cast<double>(sample.frames);
    const double seen = sample.sampled == 0 ? 1 : static_cast<double>(sample.sampled);
    const double zero = sample.sampled == 0 ? 0 : static_cast<double>(sample.zero) / seen;
    const double packed = sample.sampled == 0 ? static_cast<double>(kFrameSize)
                                              : static_cast<double>(sample.bytes) / seen;
    const bool drops_zero = (level & kLevelZero) != 0;
    bytes +=
        frames * (packed + (drops_zero ? 1 - zero : 1) * static_cast<double>(kDescriptorBytes));
  }
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace

std::string help_estimate() {
  return help_text("estimate [--to DIRECTORY]", describe());
}

Result<EstimateOptions> parse_estimate(const std::vector<std::string>& args) {
  auto values = parse_command_line(args, describe());
  if (!values) return fail(std::move(values));
  EstimateOptions options;
  options.help = values->count("help") > 0;
  options.vmcore = (*values)["vmcore"].as<std::string>();
  options.to = (*values)["to"].as<std::string>();
  auto codec = parse_codec((*values)["compress"].as<std::string>());
  if (!codec) return fail(std::move(codec), "--compress");
  options.codec = *codec;
  if (options.codec.kind == CodecKind::kAuto) options.codec = {CodecKind::kZstd, 0};
  return options;
}

int run_estimate(const EstimateOptions& options, const VmcoreSource& source, const Clock& clock,
                 Streams io) {
  std::unique_ptr<PageCompressor> compressor;
  if (options.codec.kind != CodecKind::kNone) {
    auto made = make_compressor(options.codec);
    if (!made) {
      io.err << "release-region estimate: " << made.error().what() << '\n';
      return kExitFailed;
    }
    compressor = std::move(*made);
  }
  const auto opened = open_filter(source);
  if (!opened) io.err << "release-region estimate: " << opened.error().what() << ", continuing\n";
  const auto started = clock.now();
  const Samples samples =
      take_samples(source, opened ? opened->filter.get() : nullptr, compressor.get());
  std::uint64_t sampled = 0;
  for (const ClassSample& sample : samples) sampled += sample.sampled;
  const auto ms = std::max<std::int64_t>(1, (clock.now() - started).count());

  struct statvfs disk {};
  const bool has_target = !options.to.empty() && ::statvfs(options.to.c_str(), &disk) == 0;
  const std::uint64_t room = has_target ? std::uint64_t{disk.f_bavail} * disk.f_frsize : UINT64_MAX;
  io.out << fmt::format("memory: {}, {} pages sampled with {}\n",
                        format_size(source.layout().frames.bytes()), sampled,
                        to_string(options.codec.kind));
  if (has_target) io.out << fmt::format("free in {}: {}\n", options.to, format_size(room));
  bool any_fits = false;
  for (unsigned level : kLevels) {
    const std::uint64_t bytes = size_at(samples, level);
    any_fits = any_fits || bytes <= room;
    io.out << fmt::format("level {:>2}: {:>10}{}\n", level, format_size(bytes),
                          !has_target     ? ""
                          : bytes <= room ? ", fits"
                                          : ", DOES NOT FIT");
  }
  const double rate = static_cast<double>(sampled * kFrameSize) * 1000 / static_cast<double>(ms);
  io.out << fmt::format("one thread reads and compresses about {}/s here\n",
                        format_size(static_cast<std::uint64_t>(rate)));
  return any_fits ? kExitOk : kExitTargetFull;
}

}  // namespace hadump
