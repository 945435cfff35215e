// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/dump/dump_writer.h"
#include "core/vmcore/kernel_log.h"
#include "hv/capture/capture_record.h"
#include "hv/capture/live_plan.h"
#include "hv/capture/page_list.h"
#include "hv/domain/domain_vmcore.h"

namespace hadump {

/// What a look at the crashed domain has found.
struct CaptureFindings {
  DomainFacts facts;
  DomainStatus status;
  CrashIdentity kernel;
  /// What was listed, if that was all that was wanted.
  std::optional<ListedPages> listed;
  /// Of a domain that ran on.
  std::optional<LiveInstant> live;
  /// What was looked for and not found, and why.
  std::vector<std::pair<std::string, std::string>> unknown;
};

/// The header of docs/spec/capture.md, as a whole metadata file without a trailer.
/// @param record  knows the names of the files.
std::string metadata_text(const CaptureRecord& record, const DomainConfig& config,
                          const CaptureFindings& findings, const std::string& host_name,
                          const std::string& log_file);

struct CaptureTrailer {
  std::uint64_t ended_ms = 0;
  std::uint64_t file_bytes = 0;
  bool complete = false;
};

/// Adds the trailer. @param header  as above, or with an older trailer. @param progress  nothing
/// when the dump was whole already. @return kBadData when it is not such a file.
Result<std::string> with_trailer(const std::string& header, const CaptureTrailer& trailer,
                                 const DumpProgress* progress);
/// The trailer of the metadata at `path`; nothing when there is none, or it is another dump's.
std::optional<CaptureTrailer> read_trailer(const std::string& path, const std::string& dump_id);

/// Whose the metadata at a path are.
enum class MetadataOwner : std::uint8_t {
  kNobody,  ///< there are none
  kThisCapture,
  kSameDump,  ///< a later attempt at the same crash has taken it over
  kOther,     ///< or it is something else
};
/// @return the errors of hold_trusted().
Result<MetadataOwner> owner_of_metadata(const std::string& path, const std::string& dump_id,
                                        const std::string& capture);

/// Whether `path` is free, or the metadata of this very dump. @return EEXIST when it is not;
///         kBadData when others can change it.
Result<> check_metadata_place(const std::string& path, const std::string& dump_id);

/// Durably, in a directory that nobody else can change; likewise for reading.
Result<> write_metadata(const std::string& path, const std::string& text);
Result<std::string> read_metadata(const std::string& path);

}  // namespace hadump
