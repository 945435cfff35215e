// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "core/base/text.h"
#include "core/vmcore/page_filter.h"
#include "userspace/cli/command_line.h"
#include "userspace/release_region/command_save.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

// Less than a memory block gives nothing back; more than this loses too much work when cut short.
constexpr std::uint64_t kMinPortion = 1_MiB;
constexpr std::uint64_t kMaxPortion = 64_GiB;
constexpr unsigned kMaxThreads = 1024;

po::options_description describe() {
  using Words = std::vector<std::string>;
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("to", po::value<Words>()->multitoken()->composing(),
       "file, directory or - (standard output). Several files: the dump is striped over them "
       "(kdump only)")
      ("format", po::value<std::string>()->default_value("kdump"), "elf, kdump or flattened")
      ("compress", po::value<std::string>()->default_value("lzo"),
       "none, zlib, lzo, snappy, zstd or auto; zlib and zstd take a level, as in zstd:-3")
      ("dump-level", po::value<std::string>()->default_value("0"),
       "pages to leave out, as for makedumpfile -d: 1 zero, 2 and 4 cache, 8 user, 16 free. With "
       "a list, as in 1,31, the next level is used when the target runs out of room")
      ("threads", po::value<unsigned>()->default_value(0),
       "number of compressing threads; 0: one per CPU")
      ("portion", po::value<std::string>()->default_value("256M"),
       "how much to save, make durable and release at a time")
      ("no-release", "keep the memory; a later save or release gives it back")
      ("release-lost", "also give back blocks with unreadable pages, which are then lost")
      ("with", po::value<Words>()->composing(),
       "an incomplete dump of this crash that holds memory released since")
      ("without-earlier",
       "save the rest when the save that holds released memory cannot be found; the dump is "
       "incomplete")
      ("progress", po::value<std::string>()->default_value("auto"), "auto, plain, json or none")
      ("log-to", po::value<std::string>(), "also append messages to this file")
      ("vmcore", po::value<Words>()->composing(),
       "save this dump instead of /proc/vmcore, and release nothing; repeat for each part of a "
       "split dump")
      ("ack-fd", po::value<int>(),
       "with --to -: release what the peer acknowledges in \"ack BYTES\" lines on this "
       "descriptor; without it, saving to a stream releases nothing");
  // clang-format on
  return options;
}

Result<OutputFormat> parse_format(const std::string& text) {
  if (text == "elf") return OutputFormat::kElf;
  if (text == "kdump") return OutputFormat::kKdump;
  if (text == "flattened") return OutputFormat::kFlattened;
  return fail(ErrorCode::kBadData,
              fmt::format("invalid format '{}'; use elf, kdump or flattened", text));
}

// What the words say one by one.
Result<SaveOptions> read_values(const po::variables_map& values) {
  SaveOptions options;
  if (values.count("to") > 0) options.to = values["to"].as<std::vector<std::string>>();
  if (values.count("with") > 0) options.with = values["with"].as<std::vector<std::string>>();
  auto format = parse_format(values["format"].as<std::string>());
  if (!format) return fail(std::move(format));
  options.format = *format;
  // A stream takes every byte once: of the three, only the flattened form can be written so.
  if (!options.to.empty() && options.to.front() == "-" && values["format"].defaulted())
    options.format = OutputFormat::kFlattened;
  auto codec = parse_codec(values["compress"].as<std::string>());
  if (!codec) return fail(std::move(codec), "--compress");
  options.codec = *codec;
  auto levels = parse_levels(values["dump-level"].as<std::string>());
  if (!levels) return fail(std::move(levels), "--dump-level");
  options.levels = std::move(*levels);
  auto portion = parse_size(values["portion"].as<std::string>());
  if (!portion) return fail(std::move(portion), "--portion");
  options.portion_bytes = *portion;
  auto progress = parse_progress_mode(values["progress"].as<std::string>());
  if (!progress) return fail(std::move(progress), "--progress");
  options.progress = *progress;
  options.threads = values["threads"].as<unsigned>();
  options.release = values.count("no-release") == 0;
  options.release_lost = values.count("release-lost") > 0;
  options.without_earlier = values.count("without-earlier") > 0;
  if (values.count("log-to") > 0) options.log_to = values["log-to"].as<std::string>();
  options.vmcore_given = values.count("vmcore") > 0;
  if (options.vmcore_given) options.vmcore = values["vmcore"].as<std::vector<std::string>>();
  if (values.count("ack-fd") > 0) options.ack_fd = values["ack-fd"].as<int>();
  return options;
}

// What they say together.
Result<> check(const SaveOptions& options) {
  if (options.to.empty()) return fail(ErrorCode::kBadData, "--to PATH is needed");
  if (options.portion_bytes < kMinPortion || options.portion_bytes > kMaxPortion)
    return fail(ErrorCode::kBadData,
                fmt::format("--portion must be from {} to {}", format_size(kMinPortion),
                            format_size(kMaxPortion)));
  if (options.threads > kMaxThreads)
    return fail(ErrorCode::kBadData, fmt::format("--threads must be at most {}", kMaxThreads));
  if (options.format == OutputFormat::kElf && options.to.size() > 1)
    return fail(ErrorCode::kBadData, "ELF has no split form; use one --to file or --format kdump");
  const bool stream = options.to.front() == "-";
  if (options.format == OutputFormat::kFlattened && !stream)
    return fail(ErrorCode::kBadData, "the flattened format is only for --to -");
  if (options.format != OutputFormat::kFlattened && stream)
    return fail(ErrorCode::kBadData, "--to - supports only the flattened format");
  if (options.ack_fd >= 0 && !stream)
    return fail(ErrorCode::kBadData, "--ack-fd is only for --to -");
  return {};
}

}  // namespace

std::string help_save() {
  return help_text(
      "save --to PATH [PATH…] [options]\n"
      "Writes the crashed kernel's log, then its memory in portions; each portion is given back\n"
      "to the running system once it is safe on disk. The same command continues an interrupted\n"
      "save.",
      describe());
}

Result<SaveOptions> parse_save(const std::vector<std::string>& args) {
  auto values = parse_command_line(args, describe());
  if (!values) return fail(std::move(values));
  if (values->count("help") > 0) {
    SaveOptions options;
    options.help = true;
    return options;
  }
  auto options = read_values(*values);
  if (!options) return options;
  if (auto checked = check(*options); !checked) return fail(std::move(checked));
  return options;
}

}  // namespace hadump
