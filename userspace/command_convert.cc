#include "userspace/command_convert.h"

#include "userspace/exit_codes.h"

namespace hadump {

std::string help_convert() {
  return std::string(
             "Usage: release-region convert IN OUT [options]\n\n"
             "Writes the dump IN (ELF core, kdump-compressed, flattened) to OUT in another "
             "format,\n"
             "with another compression, or with fewer pages. Options: --format, --compress,\n"
             "--dump-level, --threads, --progress, --log-to and --vmcore (for the further parts "
             "of\n"
             "a split dump), as for save.\n\n") +
         exit_codes_text();
}

Result<SaveOptions> parse_convert(const std::vector<std::string>& args) {
  // The first two words that are no options, wherever they stand before them.
  if (!args.empty() && (args[0] == "--help" || args[0] == "-h")) {
    SaveOptions options;
    options.help = true;
    return options;
  }
  if (args.size() < 2 || args[0].starts_with("--") || args[1].starts_with("--"))
    return fail(ErrorCode::kBadData, "IN and OUT are needed, before any option");
  std::vector<std::string> as_save{"--vmcore", args[0], "--to", args[1]};
  as_save.insert(as_save.end(), args.begin() + 2, args.end());
  return parse_save(as_save);
}

}  // namespace hadump
