// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/capture_run.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "core/base/trusted_path.h"
#include "core/dump/dump_levels.h"
#include "core/dump/file_sink.h"
#include "core/save/give_back.h"
#include "core/save/journal.h"
#include "core/save/target.h"
#include "core/vmcore/page_classifier.h"
#include "core/vmcore/vmcoreinfo.h"
#include "core/vmcore/vmcoreinfo_note.h"
#include "hv/capture/capture_facts.h"
#include "hv/capture/panic_line.h"
#include "hv/capture/read_frames.h"
#include "hv/domain/guest_kind.h"
#include "hv/domain/guest_kinds.h"

namespace hadump {
namespace {

// Of guest-physical memory: Linux puts the hypervisor's pages, such as shared info, at its
// beginning.
constexpr FrameRange kWherePagesAreSpecial{Gfn{0}, Gfn{1_GiB >> kFrameShift}};
// What a kill may cost.
constexpr std::uint64_t kPortionBytes = 64_MiB;
// What goes back to the host at a time.
constexpr std::uint64_t kReleasedBytes = 4_MiB;

}  // namespace

FrameSet looked_at_one_by_one(const GuestKind& kind, const FrameSet& ram) {
  return kind.has_device_model ? ram : ram.intersection(kWherePagesAreSpecial);
}

Result<DomainStatus> CaptureRun::status_of(const std::string& uuid) const {
  auto status = world_.domain.domain().status();
  if (status && status->uuid != uuid)
    return fail(ErrorCode::kNotFound,
                fmt::format("the domain is gone; domain {} is another one now", record_.domid));
  return status;
}

Result<> CaptureRun::examine() {
  auto status = status_of(record_.uuid);
  if (!status) return fail(std::move(status));
  if (!status->shutdown)
    return fail(ErrorCode::kBusy, "the domain runs; its memory would change while it is written");
  findings_.status = std::move(*status);
  auto ram = ram_of(world_.config);
  if (!ram) return fail(std::move(ram));
  if (auto found = find_facts(*ram); !found) return found;
  const DomainVmcore source(world_.domain.memory(), findings_.facts);
  record_.memory_bytes = source.layout().frames.bytes();
  read_log(source);
  if (record_.order.pages.empty()) return {};
  return keep_listed_pages();
}

Result<> CaptureRun::find_facts(const FrameSet& ram) {
  if (!record_.waiting_dump.empty()) {
    auto waiting = world_.waiting_memory();
    if (!waiting) return fail(std::move(waiting));
    findings_.facts = std::move(waiting->facts);
    for (const auto& [what, why] : waiting->lacks) {
      world_.warn(fmt::format("the dump lacks {}: {}", what, why));
      findings_.unknown.emplace_back(what, why);
    }
    return {};
  }
  auto facts =
      look_at_domain(world_.domain.domain(), world_.domain.memory(), ram,
                     looked_at_one_by_one(*world_.config.kind, ram), world_.config.kind->others());
  if (!facts) return fail(std::move(facts));
  findings_.facts = std::move(*facts);
  // A domain that an admin has captured may have crashed long before.
  std::vector<std::byte>& note = findings_.facts.vmcoreinfo_note;
  if (record_.unattended) note = with_crash_time(std::move(note), record_.begun_ms / 1000);
  return {};
}

// Of a domain that was put aside libxl has no configuration any more.
Result<> CaptureRun::describe_again() {
  DomainConfig config;
  config.name = record_.domain;
  config.uuid = record_.uuid;
  config.kind = find_guest_kind("pvh");  // no other kind has dumps that wait
  config.memory_bytes = findings_.facts.survey.ram.bytes() + findings_.facts.survey.absent.bytes();
  kept_config_ = std::move(config);
  findings_.status.reason = ShutdownReason::kCrash;
  auto unknown = findings_.unknown;  // has been written down, with what the log lacks
  read_log(DomainVmcore(world_.domain.memory(), findings_.facts));
  findings_.unknown = std::move(unknown);
  return write_header_first(true);
}

Result<> CaptureRun::keep_listed_pages() {
  auto text = read_trusted_text_file(record_.order.pages, kMaxPageListBytes);
  if (!text) return fail(std::move(text), "--pages");
  auto list = parse_page_list(*text);
  if (!list) return fail(std::move(list), record_.order.pages);
  const DomainVmcore source(memory(), findings_.facts);
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout()));
  if (!info)
    return fail(ErrorCode::kNotFound,
                "no VMCOREINFO was found in the guest; without it the pages of --pages cannot be "
                "found");
  auto space = AddressSpace::open(source, *info);
  if (!space) return fail(std::move(space), "finding the pages of --pages");
  findings_.listed = find_listed_pages(*space, *list);
  if (findings_.listed->unmapped != 0)
    world_.warn(fmt::format("{} of {} listed pages are not mapped in the guest",
                            findings_.listed->unmapped, findings_.listed->asked));
  // And the kernel's log, which is saved beside every dump.
  const ReadFrames of_log(source);
  static_cast<void>(kernel_log(of_log));  // what is wrong with it has been said
  findings_.listed->frames.insert(of_log.frames());
  FrameSurvey& survey = findings_.facts.survey;
  for (FrameSet* frames : {&survey.ram, &survey.absent, &survey.broken, &survey.special})
    *frames = frames->intersection(findings_.listed->frames);
  record_.memory_bytes = survey.dumped().bytes();
  return {};
}

Result<> CaptureRun::save_findings(const std::string& blueprint) const {
  return save_facts(world_.state_directory, record_.name,
                    {findings_.facts, blueprint, findings_.unknown});
}

Result<std::string> CaptureRun::load_findings() {
  auto facts = load_facts(world_.state_directory, record_.name);
  if (!facts && facts.error().code() == ErrorCode::kNotFound)
    return fail(ErrorCode::kBadData, facts.error().what());
  if (!facts) return fail(std::move(facts));
  findings_.facts = std::move(facts->domain);
  findings_.unknown = std::move(facts->unknown);
  return std::move(facts->blueprint);
}

Result<std::vector<EarlierSave>> CaptureRun::earlier_saves() const {
  auto file = hold_trusted(record_.file);
  if (!file) return fail(std::move(file));
  return read_earlier_saves(journal_beside(*file), record_.dump_id);
}

// What cannot be read is said in the metadata; the memory is worth the same without it.
void CaptureRun::read_log(const VmcoreSource& source) {
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout()));
  if (!info) {
    findings_.unknown.emplace_back("vmcoreinfo", "no note was found in the guest's memory");
    return;
  }
  findings_.kernel = crash_identity(*info);
  const auto log = kernel_log(source);
  // The log of a guest that lives may have a fault in it that it has survived.
  if (log && !record_.is_live())
    record_.panic = find_panic_line(*log);
  else if (!log)
    findings_.unknown.emplace_back("log", log.error().what());
  if (findings_.facts.page_offset.value == 0)
    findings_.unknown.emplace_back("page_offset", "not found in the guest's page tables");
  if (!record_.panic.empty()) world_.info(record_.panic);
}

Result<SaveOptions> CaptureRun::options(bool releases) const {
  SaveOptions options;
  options.to = {record_.order.to};
  auto format = parse_output_format(record_.order.format);
  if (!format) return fail(std::move(format));
  options.format = *format;
  auto codec = parse_codec(record_.order.compress);
  if (!codec) return fail(std::move(codec));
  options.codec = *codec;
  auto levels = parse_levels(record_.order.dump_level);
  if (!levels) return fail(std::move(levels));
  options.levels = std::move(*levels);
  // What somebody has listed is wanted, and the struct pages are not in such a dump.
  if (!record_.order.pages.empty()) options.levels = {0};
  options.portion_bytes = kPortionBytes;
  options.release = releases;
  options.memory_ends = record_.order.restart;  // with the domain
  return options;
}

SaveSeams CaptureRun::seams() const {
  SaveSeams seams;
  seams.dump = WaitingDump{record_.dump_id, "", record_.begun_ms / 1000, 0};
  seams.host = record_.domain;
  seams.state_dir = world_.state_directory;
  seams.file_systems = world_.file_systems;
  seams.block_bytes = kReleasedBytes;
  seams.cancelled = [this] { return header_error_.has_value() || world_.cancelled(); };
  seams.open_vmcore =
      [this](const std::vector<std::string>&) -> Result<std::unique_ptr<VmcoreSource>> {
    return std::make_unique<DomainVmcore>(memory(), findings_.facts);
  };
  seams.open_sink = [](const HeldFile& file, const std::string& partial) {
    return partial.empty() ? open_file_sink(file) : reopen_file_sink(partial, file);
  };
  return seams;
}

// A header that is there is of the domain as it was: it may have been partly given back since.
void CaptureRun::located(const std::vector<std::string>& files) {
  if (record_.file == files.front() && record_.state == CaptureState::kWriting &&
      read_metadata(record_.metadata))
    return;
  if (auto done = write_header(files.front()); !done) header_error_ = done.error();
}

Result<HeldFile> CaptureRun::find_dump_file(bool releases) {
  auto wanted = options(releases);
  if (!wanted) return fail(std::move(wanted));
  const SaveSeams seams = this->seams();
  const SaveContext context{*wanted, seams, *this};
  auto target = find_target(context);
  if (!target) return fail(std::move(target));
  auto plan = plan_save(context, *target);
  if (!plan) return fail(std::move(plan));
  return target->files.front();
}

Result<> CaptureRun::write_header_first(bool releases) {
  auto file = find_dump_file(releases);
  if (!file) return fail(std::move(file));
  return write_header(file->path());
}

void CaptureRun::name_files(const std::string& file) {
  record_.file = file;
  record_.metadata = companion_of(record_.order.to, file, "metadata.json");
}

Result<> CaptureRun::write_header(const std::string& file) {
  const std::string log = companion_of(record_.order.to, file, "dmesg.txt");
  name_files(file);
  if (auto free = check_metadata_place(record_.metadata, record_.dump_id); !free) return free;
  const DomainConfig& config = kept_config_ ? *kept_config_ : world_.config;
  const std::string text = metadata_text(record_, config, findings_, world_.host_name, log);
  if (auto done = write_metadata(record_.metadata, text); !done) return done;
  return world_.note(record_);
}

Result<CaptureTrailer> CaptureRun::write(RegionReleaser* releaser) {
  auto wanted = options(releaser != nullptr);
  if (!wanted) return fail(std::move(wanted));
  // Xen counts domains in circles, and hadumpd may have been away for long.
  if (image_ == nullptr)
    if (auto ours = status_of(releaser != nullptr ? record_.aside_uuid : record_.uuid); !ours)
      return fail(std::move(ours));
  SaveSeams seams = this->seams();
  seams.releaser = releaser;
  auto outcome = save_dump(*wanted, seams, *this);
  if (header_error_) return tl::unexpected(*header_error_);
  if (outcome) return add_trailer(*outcome);
  Error error = std::move(outcome.error().error);
  if (outcome.error().partial_files.empty() || error.code() == ErrorCode::kCancelled)
    return tl::unexpected(std::move(error));
  return fail(Result<>(tl::unexpected(std::move(error))),
              "the incomplete dump is readable, " + outcome.error().partial_files.front());
}

Result<CaptureTrailer> CaptureRun::add_trailer(const SaveOutcome& outcome) {
  struct stat info {};
  if (::stat(record_.file.c_str(), &info) != 0) return fail_os(errno, "looking at " + record_.file);
  CaptureTrailer trailer{world_.wall_ms(), static_cast<std::uint64_t>(info.st_size),
                         outcome.summary.complete};
  auto header = read_metadata(record_.metadata);
  if (!header) return fail(std::move(header));
  auto text =
      with_trailer(*header, trailer, outcome.released_now ? nullptr : &outcome.summary.progress);
  if (!text) return fail(std::move(text), record_.metadata);
  if (auto done = write_metadata(record_.metadata, *text); !done) return fail(std::move(done));
  record_.complete = trailer.complete;
  trailer.complete = only_bad_memory_is_lost(outcome.summary.missing);
  return trailer;
}

// All is durable, now or in a run before this one that was killed. Of that one's losses nobody
// knows the reason.
Result<> CaptureRun::end(const CaptureTrailer& trailer) {
  record_.file_bytes = trailer.file_bytes;
  record_.ended_ms = trailer.ended_ms;
  if (auto done = remove_journals(); !done) return done;
  if (!trailer.complete) {
    record_.complete = false;
    return fail(ErrorCode::kIncomplete,
                fmt::format("memory could not be read; {}{} lacks what was not read",
                            image_ == nullptr ? "the domain is kept, and " : "", record_.file));
  }
  record_.state = CaptureState::kWritten;
  record_.error.clear();  // of a run that was tried again
  return world_.note(record_);
}

// Memory that the hardware has reported as bad is lost for good, and no reason to keep the rest.
bool CaptureRun::only_bad_memory_is_lost(const FrameSet& missing) const {
  FrameSet unexplained = missing;
  unexplained.erase(findings_.facts.survey.broken);
  return unexplained.empty();
}

// And what an interrupted run has left that could not be continued in place.
Result<> CaptureRun::remove_journals() {
  SavePlan plan;
  plan.dump_id = record_.dump_id;
  auto file = hold_trusted(record_.file);
  if (!file) return fail(std::move(file));
  plan.target.files = {*file};
  plan.keeps_journal = true;
  auto saves = earlier_saves();
  if (!saves) return fail(std::move(saves));
  const SaveOptions options;
  const SaveSeams seams = this->seams();
  return hadump::remove_journals({options, seams, *this}, plan, *saves, record_.complete);
}

}  // namespace hadump
