// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/save_command_line.h"

#include <fmt/format.h>

#include "core/base/text.h"
#include "core/dump/dump_levels.h"
#include "core/vmcore/page_filter.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/vmcoreinfo_option.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

// Less than a memory block gives nothing back; more than this loses too much work when cut short.
constexpr std::uint64_t kMinPortion = 1_MiB;
constexpr std::uint64_t kMaxPortion = 64_GiB;

}  // namespace

void describe_writing(po::options_description& options, const char* portion_text) {
  const std::string format_help = output_format_help();
  const std::string codec_text = codec_help();
  const std::string default_format(output_formats().front().name);
  // clang-format off
  options.add_options()
      ("format", po::value<std::string>()->default_value(default_format)->value_name("FORMAT"), format_help.c_str())
      ("compress", po::value<std::string>()->default_value("lzo")->value_name("CODEC"), codec_text.c_str())
      ("dump-level", po::value<std::string>()->default_value("0")->value_name("N[,N...]"),
       "pages to leave out, as for makedumpfile -d: 1 zero, 2 and 4 cache, 8 user, 16 free. "
       "With a list, as in 1,31, the next level is used when the target runs out of room")
      ("threads", po::value<unsigned>()->default_value(0)->value_name("N"), "number of compressing threads; 0: one per CPU")
      ("portion", po::value<std::string>()->default_value("256M")->value_name("SIZE"), portion_text)
      ("progress", po::value<std::string>()->default_value("auto")->value_name("MODE"), "auto, plain, json or none")
      ("log-to", po::value<std::string>()->value_name("FILE"), "also append messages to this file");
  // clang-format on
  describe_vmcoreinfo(options);
}

Result<> read_writing(const po::variables_map& values, SaveCommandLine& command) {
  SaveOptions& options = command.save;
  auto format = parse_output_format(values["format"].as<std::string>());
  if (!format) return fail(std::move(format), "--format");
  options.format = *format;
  if (!options.to.empty() && options.to.front() == "-" && values["format"].defaulted())
    options.format = &stream_format();
  auto codec = parse_codec(values["compress"].as<std::string>());
  if (!codec) return fail(std::move(codec), "--compress");
  options.codec = *codec;
  const bool wants_codec = !values["compress"].defaulted() &&
                           (options.codec.codec != nullptr || options.codec.is_automatic);
  // As makedumpfile refuses -E with -c, -l, -p or -z.
  if (wants_codec && !options.format->is_compressed)
    return fail(ErrorCode::kBadData,
                fmt::format("--compress: the format {} is not compressed; leave it out, or use "
                            "--format {}",
                            options.format->name, output_formats().front().name));
  auto levels = parse_levels(values["dump-level"].as<std::string>());
  if (!levels) return fail(std::move(levels), "--dump-level");
  options.levels = std::move(*levels);
  auto portion = parse_size(values["portion"].as<std::string>());
  if (!portion) return fail(std::move(portion), "--portion");
  options.portion_bytes = *portion;
  auto threads = threads_option(values);
  if (!threads) return fail(std::move(threads));
  options.threads = *threads;
  auto progress = parse_progress_mode(values["progress"].as<std::string>());
  if (!progress) return fail(std::move(progress), "--progress");
  command.progress = *progress;
  command.vmcoreinfo = vmcoreinfo_option(values);
  if (values.count("log-to") > 0) command.log_to = values["log-to"].as<std::string>();
  return {};
}

Result<> refuse_remote(const std::vector<std::string>& to, std::string_view to_a_pipe) {
  for (const std::string& path : to)
    if (path.substr(0, path.find('/')).find(':') != std::string::npos)
      return fail(ErrorCode::kBadData,
                  fmt::format("'{0}' names another system; mount its file system and name a "
                              "directory there, or send the dump: {1} | ssh HOST 'cat >FILE'. A "
                              "file of this name is ./{0}",
                              path, to_a_pipe));
  return {};
}

Result<> check_save(const SaveOptions& options) {
  if (options.to.empty()) return fail(ErrorCode::kBadData, "--to PATH is needed");
  if (options.portion_bytes < kMinPortion || options.portion_bytes > kMaxPortion)
    return fail(ErrorCode::kBadData,
                fmt::format("--portion must be from {} to {}", format_size(kMinPortion),
                            format_size(kMaxPortion)));
  const OutputFormat& format = *options.format;
  if (options.to.size() > format.max_files)
    return fail(ErrorCode::kBadData,
                fmt::format("--format {} takes {} --to at most", format.name, format.max_files));
  const bool stream = options.to.front() == "-";
  if (format.is_stream && !stream)
    return fail(ErrorCode::kBadData, fmt::format("--format {} is only for --to -", format.name));
  if (!format.is_stream && stream)
    return fail(ErrorCode::kBadData,
                fmt::format("--to - supports only --format {}", stream_format().name));
  if (options.ack_fd >= 0 && !stream)
    return fail(ErrorCode::kBadData, "--ack-fd is only for --to -");
  return {};
}

}  // namespace hadump
