// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "hv/capture/cap_change.h"

namespace hadump {

/// The mode that captures a domain that runs.
inline constexpr std::string_view kLiveMode = "live";

/// What is wanted of a capture, in the words of the command line.
struct CaptureOrder {
  std::string mode = "copy";
  std::string to;  ///< absolute
  std::string format = "kdump";
  std::string compress = "lzo";
  std::string dump_level = "31";  ///< may be a list, for a target that runs full
  std::string pages;     ///< a file that lists pages, absolute: nothing else is wanted. Empty: all
  bool restart = false;  ///< create the domain anew when its memory is safe
  // Of a domain that runs (mode live).
  std::uint64_t max_stop_ms = 5;        ///< for how long it may be stopped
  std::string if_busy = "stop-longer";  ///< a word of parse_if_busy()
  bool operator==(const CaptureOrder&) const = default;
};

/// How far a capture is; docs/spec/capture.md.
enum class CaptureState : std::uint8_t {
  kExamining,
  kLeaving,
  kWriting,
  kWritten,
  kFailed,
  kKept,      ///< the domain is put aside, and nothing is written before an admin says where
  kTracking,  ///< mode live: its writes are logged
  kStopping,  ///< likewise, and it is stopped, or about to be
};
std::string_view to_string(CaptureState state);

/// What hadumpd must remember about a capture, should it be killed.
struct CaptureRecord {
  std::string name;
  std::string domain;  ///< its name
  std::string uuid;    ///< its own
  unsigned domid = 0;
  std::string boot_id;  ///< of the host: with the host the domain is gone
  std::string dump_id;  ///< 32 hex digits
  CaptureOrder order;
  CaptureState state = CaptureState::kExamining;
  std::string file;      ///< the dump's final name; empty: not known yet
  std::string metadata;  ///< likewise
  std::string panic;     ///< the guest's words, printable; may be empty
  std::string error;     ///< why it failed, or failed last
  std::uint64_t begun_ms = 0;
  std::uint64_t ended_ms = 0;
  std::uint64_t memory_bytes = 0;  ///< what the dump is of; 0: not known yet
  std::uint64_t file_bytes = 0;    ///< of the whole dump
  bool complete = true;            ///< the dump lacks nothing
  bool domain_kept = true;         ///< the domain is still there, as it was captured

  /// The dump that waits in the domain, which was booted again since; its id. Empty: the memory of
  /// a domain that has only crashed.
  std::string waiting_dump;
  bool parks = false;       ///< it is to be kKept
  bool unattended = false;  ///< no admin has asked for it, or would ask again

  // Of a capture whose domain is replaced at once (mode alias).
  std::string aside_uuid;              ///< the domain's when it is put aside; empty: it is not
  std::uint64_t begun_kib = 0;         ///< memory that the successor began with
  std::uint64_t successor_kib = 0;     ///< and that it may have now
  std::uint64_t full_kib = 0;          ///< and that it is to have in the end
  std::uint64_t given_back_bytes = 0;  ///< of the old domain's memory

  // Mode live.
  std::uint64_t stop_us = 0;           ///< for how long it was stopped; 0: not yet
  std::optional<CapChange> throttled;  ///< it may still have less processor time than it should

  bool operator==(const CaptureRecord&) const = default;

  /// Its domain runs on, and belongs to nobody's capture.
  bool is_live() const { return order.mode == kLiveMode; }
  /// hadumpd is at it, or goes on with it when it starts.
  bool is_open() const {
    return state != CaptureState::kWritten && state != CaptureState::kFailed &&
           state != CaptureState::kKept;
  }
  /// The domain is put aside, or about to be: whatever comes, it is not brought back to life.
  bool is_aside() const { return domain_kept && !aside_uuid.empty(); }
};

/// JSON, as docs/man/hadump.8.md describes it.
std::string to_json(const CaptureRecord& record);
/// @return kBadData when it is not such a record. Its order is not checked: check_order().
Result<CaptureRecord> parse_capture_record(const std::string& json);

}  // namespace hadump
