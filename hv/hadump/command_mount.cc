// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/command_mount.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <boost/program_options.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/unique_handle.h"
#include "hv/hadump/answer.h"
#include "hv/hadump/kept_capture.h"
#include "userspace/dump_mount/dump_tree.h"
#include "userspace/dump_mount/fuse_mount.h"

namespace hadump {
namespace {

namespace po = boost::program_options;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct MountOptions {
  bool help = false;
  bool foreground = false;
  std::string vmcoreinfo;
  std::string socket = "/run/hadump/hadumpd.sock";
  std::string state_directory = "/var/lib/hadump";
  std::vector<std::string> operands;
};

po::options_description describe_mount(MountOptions& options) {
  po::options_description description("Options");
  // clang-format off
  description.add_options()
      ("help,h", po::bool_switch(&options.help), "show this text")
      ("foreground,f", po::bool_switch(&options.foreground),
       "stay in the foreground until DIR is unmounted")
      ("vmcoreinfo", po::value(&options.vmcoreinfo)->value_name("FILE"),
       "the kernel's VMCOREINFO, for a dump that has none")
      ("socket", po::value(&options.socket)->default_value(options.socket)->value_name("PATH"),
       "socket on which hadumpd listens, asked about a capture's name")
      ("state-dir",
       po::value(&options.state_directory)->default_value(options.state_directory)->value_name("DIR"),
       "hadumpd's state directory, for a capture whose domain was put aside");
  // clang-format on
  return description;
}

// What there is of its dump: while it is written, or after a failure, the incomplete one.
Result<std::string> file_of(const Json& capture) {
  const auto file = text_at(capture, "file");
  if (file.empty()) return fail(ErrorCode::kBusy, "nothing of it is written yet");
  for (const std::string& path : {file, file + "-incomplete"})
    if (fs::exists(path)) return path;
  return fail_os(ENOENT, "looking for " + file);
}

// What is asked for: files, or what hadumpd says of a capture.
struct Wanted {
  std::vector<std::string> files;
  std::optional<CaptureRecord> kept;  ///< its domain was put aside, and has a part of it
};

Result<Wanted> find_wanted(const MountOptions& options, CommandWorld& world) {
  std::vector<std::string> files(options.operands.begin(), options.operands.end() - 1);
  if (files.size() > 1 || fs::exists(files.front())) return Wanted{std::move(files), {}};
  auto answer = world.ask(options.socket, {{"command", "captures"}});
  if (!answer) return fail(std::move(answer), "neither a file nor a capture that is known");
  for (const Json& capture : (*answer)["captures"]) {
    if (text_at(capture, "name") != files.front()) continue;
    if (auto kept = kept_record(capture)) return Wanted{{kept->file}, std::move(kept)};
    return file_of(capture).map([](const std::string& file) { return Wanted{{file}, {}}; });
  }
  return fail(ErrorCode::kNotFound,
              fmt::format("'{}' is neither a file nor a capture", files.front()));
}

Result<ShownDump> open_wanted(const Wanted& wanted, const MountOptions& options,
                              const CommandWorld& world) {
  if (wanted.kept && !options.vmcoreinfo.empty())
    return fail(ErrorCode::kUnsupported,
                "--vmcoreinfo cannot be given while the capture is being written");
  if (wanted.kept) return open_kept_capture(*wanted.kept, options.state_directory, world);
  return DumpTree::open(wanted.files, options.vmcoreinfo).map([](std::unique_ptr<DumpTree> tree) {
    return ShownDump{nullptr, std::move(tree)};
  });
}

int mount(const MountOptions& options, CommandWorld& world) {
  auto wanted = find_wanted(options, world);
  if (!wanted) return complain(world, "mount: " + wanted.error().what(), kAdminFailed);
  auto shown = open_wanted(*wanted, options, world);
  // It may have ended between the two.
  if (!shown && wanted->kept && fs::exists(wanted->kept->file)) {
    wanted->kept.reset();
    shown = open_wanted(*wanted, options, world);
  }
  if (!shown) return complain(world, "mount: " + shown.error().what(), kAdminFailed);
  // Whoever would discard the capture sees that it is read; a child inherits it.
  UniqueFd lock;
  for (const char* mark : {"", "-incomplete"})
    if (!lock)
      lock = UniqueFd(
          ::open((wanted->files.front() + mark).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (lock) static_cast<void>(::flock(lock.get(), LOCK_SH | LOCK_NB));
  auto done = mount_dump(*shown->tree, options.operands.back(), options.foreground);
  if (!done) return complain(world, "mount: " + done.error().what(), kAdminFailed);
  return kAdminOk;
}

}  // namespace

std::string mount_help() {
  MountOptions options;
  std::ostringstream text;
  text << describe_mount(options);
  return text.str();
}

Result<Run> parse_mount(const std::vector<std::string>& arguments) try {
  MountOptions options;
  po::options_description all = describe_mount(options);
  all.add_options()("operand", po::value(&options.operands));
  po::positional_options_description positions;
  positions.add("operand", -1);
  po::variables_map values;
  po::store(po::command_line_parser(arguments).options(all).positional(positions).run(), values);
  po::notify(values);
  if (options.operands.size() < 2)
    return fail(ErrorCode::kBadData, "mount needs a capture or a dump, and a directory");
  return [options](CommandWorld& world) { return mount(options, world); };
} catch (const po::error& e) {
  return fail(ErrorCode::kBadData, e.what());
}

}  // namespace hadump
