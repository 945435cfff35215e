// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/waiting_vmcore.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/save/watched_memory.h"
#include "userspace/cli/regions_file.h"

namespace hadump {
namespace {

struct Identity {
  struct stat info {};
  bool is_in_proc = false;
};

std::optional<Identity> identity_of(const std::string& file) {
  Identity identity;
  struct statfs system {};
  const bool is_input = file == "-";
  if ((is_input ? ::fstat(STDIN_FILENO, &identity.info) : ::stat(file.c_str(), &identity.info)) !=
          0 ||
      (is_input ? ::fstatfs(STDIN_FILENO, &system) : ::statfs(file.c_str(), &system)) != 0)
    return std::nullopt;
  identity.is_in_proc = system.f_type == PROC_SUPER_MAGIC;
  return identity;
}

/// Each mount of proc is a file system of its own (since Linux 5.8), but its files that are of no
/// process are the same, with the same numbers (fs/proc/generic.c).
bool is_same(const Identity& a, const Identity& b) {
  return a.info.st_ino == b.info.st_ino &&
         (a.info.st_dev == b.info.st_dev || (a.is_in_proc && b.is_in_proc));
}

/// The memory of a dump that waits, and what of it is released by now.
class PartlyReleased : public WatchedVmcore {
 public:
  PartlyReleased(std::unique_ptr<VmcoreSource> inner, const FrameSet& released)
      : WatchedVmcore(std::move(inner)), layout_(WatchedVmcore::layout()) {
    lose(released);
    layout_.lost.insert(layout_.frames.intersection(released));
    layout_.incomplete = true;
  }
  const VmcoreLayout& layout() const override { return layout_; }

 private:
  VmcoreLayout layout_;
};

}  // namespace

std::optional<std::string> find_waiting_vmcore(const std::vector<std::string>& files,
                                               const WaitingPlaces& places) {
  if (::access((places.kernel_dir + "/hadump/regions").c_str(), F_OK) != 0) return std::nullopt;
  const auto vmcore = identity_of(places.vmcore);
  if (!vmcore) return std::nullopt;
  for (const std::string& file : files)
    if (const auto identity = identity_of(file); identity && is_same(*identity, *vmcore))
      return file == "-" ? "standard input" : file;
  return std::nullopt;
}

bool refuses_waiting(const CommandCall& call, const char* name,
                     const std::vector<std::string>& files) {
  const auto file = find_waiting_vmcore(files);
  if (file)
    complain(call, name,
             fmt::format("{} is the memory of the dump that waits here, and what is released of it "
                         "reads as zeros; use `release-region save --to PATH`, which keeps account "
                         "of that (--no-release keeps the memory)",
                         *file));
  return file.has_value();
}

Result<std::unique_ptr<VmcoreSource>> without_released(std::unique_ptr<VmcoreSource> source,
                                                       const std::vector<std::string>& files,
                                                       std::string& warning,
                                                       const WaitingPlaces& places) {
  const auto file = find_waiting_vmcore(files, places);
  if (!file) return source;
  auto regions = read_regions(places.kernel_dir);
  if (!regions) return fail(std::move(regions), "what is released of " + *file);
  FrameSet released = regions->in_state(RegionState::kReleased);
  released.insert(regions->in_state(RegionState::kPartial));
  if (released.empty()) return source;
  warning = fmt::format(
      "{} of {} was released; it is in the save that released it, and counts as "
      "lost here",
      format_size(released.bytes()), *file);
  return std::make_unique<PartlyReleased>(std::move(source), released);
}

}  // namespace hadump
