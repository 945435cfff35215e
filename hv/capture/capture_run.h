// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/save/earlier_save.h"
#include "core/save/save.h"
#include "core/save/save_plan.h"
#include "hv/capture/capture_mode.h"
#include "hv/capture/metadata.h"

namespace hadump {

/// The frames of a guest's RAM that a survey looks at one by one. The domain's number of frames
/// tells of holes in the rest, but not where a device model's own, such as video memory, are
/// counted.
FrameSet looked_at_one_by_one(const GuestKind& kind, const FrameSet& ram);

/// What all modes do in the same way: look at the domain, write the metadata at both ends, and let
/// core/save write the dump. One object for each run; what is found goes from step to step in it.
class CaptureRun : public SaveReporter {
 public:
  CaptureRun(const CaptureWorld& world, CaptureRecord& record) : world_(world), record_(record) {}

  void info(const std::string& text) override { world_.info(text); }
  void warn(const std::string& text) override { world_.warn(text); }
  void located(const std::vector<std::string>& files) override;
  void progress(const SaveProgress& now) override { world_.progress(now); }
  void finished(const SaveProgress& end) override { world_.progress(end); }

 protected:
  /// Fills findings() and what the record says of the memory; of that, only the pages of the
  /// order's list are left, if it has one.
  /// @return kBusy for a domain that runs; kNotFound as status_of(), or when listed pages cannot be
  ///         found without VMCOREINFO; kBadData for a list that is none.
  Result<> examine();
  /// Keeps what examine() has found, as far as a later run cannot find it again.
  /// @param blueprint  of the successor; may be empty. @return as save_facts().
  Result<> save_findings(const std::string& blueprint) const;
  /// @return the blueprint; as load_facts(), but kBadData when there is nothing.
  Result<std::string> load_findings();
  /// Writes the header before the dump is begun, where a later run could not. @param releases  as
  /// options(). @return what is wrong with the target.
  Result<> write_header_first(bool releases);
  /// Does so with what load_findings() has given, for a domain that was kept without a header.
  Result<> describe_again();
  /// Writes the header, and notes the names of the files. @param file  the dump's.
  Result<> write_header(const std::string& file);
  /// Of the order. @param releases  the domain's memory is given back while it is written.
  Result<SaveOptions> options(bool releases) const;
  SaveSeams seams() const;
  /// Of this dump, by its journal and those that it builds on.
  Result<std::vector<EarlierSave>> earlier_saves() const;
  /// Writes the dump, or what is missing of it, and the trailer.
  /// @param releaser  null for a domain that stays as it is.
  /// @return kNotFound as status_of(); the trailer, in which a dump is complete that lacks nothing
  /// but bad memory.
  Result<CaptureTrailer> write(RegionReleaser* releaser);
  /// The dump is whole and durable. @return kIncomplete when it lacks what nobody knows the reason
  ///         of: the domain is needed for another attempt.
  Result<> end(const CaptureTrailer& trailer);

  /// The first file of the dump, that nothing is in the way of. @param releases  as options().
  /// @return what is wrong with the target.
  Result<HeldFile> find_dump_file(bool releases);
  /// Names the files in the record. @param file  the dump's.
  void name_files(const std::string& file);
  /// @return kNotFound when the domain of this number has another UUID: it is somebody else's.
  Result<DomainStatus> status_of(const std::string& uuid) const;
  Result<> find_facts(const FrameSet& ram);
  void read_log(const VmcoreSource& source);
  Result<> keep_listed_pages();
  /// What the dump is of: the domain's memory, or the image of it.
  const GuestMemory& memory() const { return image_ != nullptr ? *image_ : world_.domain.memory(); }

  const CaptureWorld& world_;
  CaptureRecord& record_;
  CaptureFindings findings_;
  const GuestMemory* image_ = nullptr;  ///< read instead of the domain; borrowed

 private:
  Result<CaptureTrailer> add_trailer(const SaveOutcome& outcome);
  bool only_bad_memory_is_lost(const FrameSet& missing) const;
  Result<> remove_journals();

  std::optional<DomainConfig> kept_config_;
  std::optional<Error> header_error_;  ///< located() cannot return it
};

}  // namespace hadump
