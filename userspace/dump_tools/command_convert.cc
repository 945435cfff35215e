// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_convert.h"

#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

// Those of save that mean something here, with its defaults and its checks.
constexpr const char* kAsForSave[] = {"format",  "compress", "dump-level", "threads",
                                      "portion", "progress", "log-to"};

po::options_description describe() {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("format", po::value<std::string>(), "elf, kdump (the default) or flattened")
      ("compress", po::value<std::string>(),
       "none, zlib, lzo (the default), snappy, zstd or auto; zlib and zstd take a level, as in "
       "zstd:-3")
      ("dump-level", po::value<std::string>(),
       "pages to leave out, as for makedumpfile -d (default 0). With a list, as in 1,31, the next "
       "level is used when the target runs out of room")
      ("threads", po::value<std::string>(),
       "number of compressing threads; 0, the default: one per CPU")
      ("portion", po::value<std::string>(), "how much to make durable at a time (default 256M)")
      ("progress", po::value<std::string>(), "auto, plain, json or none")
      ("log-to", po::value<std::string>(), "also append messages to this file")
      ("vmcore", po::value<Words>()->composing(), "a further part of a split dump");
  // clang-format on
  return options;
}

}  // namespace

std::string help_convert() {
  return help_text(
      "convert IN OUT [options]\n"
      "Writes the dump IN (ELF core, kdump-compressed, flattened) to OUT in another format, with\n"
      "another compression, or with fewer pages. OUT may be - for standard output.",
      describe());
}

Result<SaveOptions> parse_convert(const std::vector<std::string>& args) {
  po::options_description known = describe();
  known.add_options()("file", po::value<Words>());
  po::positional_options_description positional;
  positional.add("file", 2);
  auto values = parse_command_line(args, known, positional);
  if (!values) return fail(std::move(values));
  if (values->count("help") > 0) {
    SaveOptions options;
    options.help = true;
    return options;
  }
  const Words files = values->count("file") > 0 ? (*values)["file"].as<Words>() : Words{};
  if (files.size() != 2) return fail(ErrorCode::kBadData, "IN and OUT are needed");
  Words as_save{"--vmcore", files[0], "--to", files[1]};
  for (const char* name : kAsForSave)
    if (values->count(name) > 0) {
      as_save.push_back(std::string("--") + name);
      as_save.push_back((*values)[name].as<std::string>());
    }
  if (values->count("vmcore") > 0)
    for (const std::string& part : (*values)["vmcore"].as<Words>()) {
      as_save.emplace_back("--vmcore");
      as_save.push_back(part);
    }
  return parse_save(as_save);
}

}  // namespace hadump
