// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_plan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <cerrno>

#include "core/base/shortage.h"
#include "core/save/save_registry.h"
#include "core/vmcore/kernel_log.h"
#include "core/vmcore/open.h"

namespace hadump {
namespace {

// A dump that nothing waits with still needs a name.
constexpr const char* kNoDumpId = "00000000000000000000000000000000";

std::string settings_of(const SaveOptions& options) {
  return fmt::format("format={} codec={}:{} levels={}", options.format->name,
                     name_of(options.codec), options.codec.level, fmt::join(options.levels, ","));
}

std::string dump_id_of(const SaveSeams& seams) {
  return seams.dump ? seams.dump->dump_id : kNoDumpId;
}

/// Where nobody says when the crash was, the dump may. @return 0 when it does not.
std::uint64_t crash_time_in_dump(const SaveContext& context) {
  const auto source = context.seams.open_vmcore(context.options.vmcore);
  if (!source) return 0;
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text((*source)->layout()));
  const std::uint64_t in_header = (*source)->layout().header.crash_time_s;
  return info ? crash_identity(*info).crash_time_s.value_or(in_header) : in_header;
}

/// Before anything is written: also the log beside that file is another dump's.
Result<> refuse_existing(const SaveTarget& target) {
  if (target.is_stream()) return {};
  for (const HeldFile& file : target.files)
    if (file.exists()) return fail_os(EEXIST, "creating " + file.path());
  return {};
}

/// A file goes, but not one that may be needed: what has a journal may be the only copy of memory
/// that was released.
Result<> check_replaceable(const SaveTarget& target) {
  for (const HeldFile& file : target.files) {
    const HeldFile journal = journal_beside(file);
    if (journal.exists())
      return fail(ErrorCode::kBusy, fmt::format("{} is of a save that has not ended, by {}",
                                                file.path(), journal.path()));
    if (!file.exists()) continue;
    const auto there = file.open(O_PATH);
    if (!there) return fail_os(there.error().os_errno(), "replacing " + file.path());
    struct stat info {};
    if (::fstat(there->get(), &info) != 0 || !S_ISREG(info.st_mode))
      return fail(ErrorCode::kBadData, file.path() + " is not a file: it is not replaced");
  }
  return {};
}

Result<> find_registered(const SaveContext& context, SavePlan& plan) {
  const auto journals = SaveRegistry(context.seams.state_dir).journals(plan.dump_id);
  if (!journals) context.reporter.warn(journals.error().what() + ", continuing");
  for (const std::string& journal : journals ? *journals : std::vector<std::string>()) {
    const auto more = read_earlier_saves(journal, plan.dump_id);
    // Whatever kept it from having the lock: what that one releases would be lost to this save.
    if (!more && (more.error().code() == ErrorCode::kBusy || is_shortage(more.error().os_errno())))
      return tl::unexpected(more.error());
    if (more && !more->empty())
      add_earlier_saves(plan.earlier, *more);
    else
      context.reporter.warn(fmt::format("an earlier save cannot be used, continuing: {}",
                                        more ? journal + " is not there" : more.error().what()));
  }
  return {};
}

// What is not there cannot help; find_gone() says whether it is needed. What this process is too
// short of descriptors or memory to open is there.
Result<> drop_missing(const SaveContext& context, SavePlan& plan) {
  for (std::size_t i = plan.is_published() ? 1 : 0; i < plan.earlier.size();) {
    const auto there = check_its_files(plan.earlier[i]);
    if (there) {
      ++i;
      continue;
    }
    if (is_shortage(there.error().os_errno())) return there;
    const bool missing = there.error().code() == ErrorCode::kNotFound;
    context.reporter.warn(fmt::format(
        "the earlier save in {} {}, continuing", fmt::join(plan.earlier[i].content.files, ", "),
        missing ? "no longer exists" : "cannot be used: " + there.error().what()));
    if (i == 0) plan.own_journal = false;
    plan.earlier.erase(plan.earlier.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

// The target's own, those that the user names, and those that were noted.
Result<> find_earlier(const SaveContext& context, SavePlan& plan) {
  if (plan.keeps_journal) {
    auto own = read_earlier_saves(journal_beside(plan.target.files.front()), plan.dump_id);
    if (!own) return fail(std::move(own));
    plan.earlier = std::move(*own);
    plan.own_journal = !plan.earlier.empty();
  }
  for (const std::string& with : context.options.with) {
    auto more = read_earlier_saves(journal_of(with), plan.dump_id);
    if (!more) return fail(std::move(more));
    if (more->empty())
      return fail(ErrorCode::kNotFound,
                  fmt::format("{} has no journal, {}", with, journal_of(with)));
    add_earlier_saves(plan.earlier, *more);
  }
  if (context.seams.dump)
    if (auto found = find_registered(context, plan); !found) return found;
  return drop_missing(context, plan);
}

}  // namespace

TargetRules target_rules(const SaveOptions& options, const SaveSeams& seams) {
  // A file that is copied is still where it was.
  const bool waits = !options.vmcore_given;
  const bool memory_goes = options.release || options.memory_ends;
  return {waits, waits && memory_goes && !options.volatile_target, seams.file_systems};
}

Result<SaveTarget> find_target(const SaveContext& context) {
  const auto& [options, seams, reporter] = context;
  DumpName name{seams.host, seams.dump ? seams.dump->crash_time : 0, dump_id_of(seams)};
  if (name.crash_time == 0) name.crash_time = crash_time_in_dump(context);
  return resolve_target(options.to, name, target_rules(options, seams));
}

Result<SavePlan> plan_save(const SaveContext& context, SaveTarget target) {
  const auto& [options, seams, reporter] = context;
  SavePlan plan;
  plan.dump_id = dump_id_of(seams);
  plan.settings = settings_of(options);
  if (seams.releaser != nullptr) {
    auto regions = seams.releaser->regions();
    if (!regions) return fail(std::move(regions), "reading what is held");
    plan.regions = std::move(*regions);
  }
  plan.target = std::move(target);
  const bool acknowledged = !plan.target.is_stream() || options.ack_fd >= 0 || options.to_host;
  plan.may_release = seams.releaser != nullptr && options.release && acknowledged;
  // A stream cannot be continued, and a file that is copied can be copied again.
  plan.keeps_journal = seams.dump && !plan.target.is_stream();

  if (auto found = find_earlier(context, plan); !found) return fail(std::move(found));
  if (plan.own_journal) return plan;
  const bool replaces = options.force && options.vmcore_given;
  if (auto free = replaces ? check_replaceable(plan.target) : refuse_existing(plan.target); !free)
    return fail(std::move(free));
  return plan;
}

FrameSet find_gone(const SavePlan& plan, const FrameSet& released, const VmcoreLayout& now) {
  FrameSet gone = released;
  // Without an earlier save nobody can tell holes from memory in what is gone.
  FrameSet extent = plan.earlier.empty() ? released : now.frames;
  for (const EarlierSave& save : plan.earlier) {
    extent.insert(save.content.frames);
    gone.erase(save.content.durable);
  }
  return gone.intersection(extent);
}

Result<PlannedMemory> merge_memory(const SavePlan& plan, std::unique_ptr<VmcoreSource> current,
                                   const FrameSet& released, const FrameSet& gone) {
  // What is released, or asked to be, is no longer what it was.
  FrameSet held = current->layout().frames;
  held.erase(released);
  PlannedMemory memory{nullptr, held};
  if (plan.earlier.empty() && gone.empty()) {
    memory.source = std::move(current);
    return memory;
  }
  memory.frames.insert(gone);
  // All that the first of them was to hold: the dump's extent at the crash.
  for (const EarlierSave& save : plan.earlier) memory.frames.insert(save.content.frames);
  auto merged = merge_with_earlier(std::move(current), std::move(held), plan.earlier, gone);
  if (!merged) return fail(std::move(merged));
  memory.source = std::move(*merged);
  return memory;
}

}  // namespace hadump
