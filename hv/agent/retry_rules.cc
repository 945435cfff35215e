// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/retry_rules.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace hadump {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLongestPause{60};
constexpr seconds kSettled{60};

bool is_transient_errno(int error) {
  switch (error) {
    case 0:  // libxl's
    case EAGAIN:
    case EBUSY:
    case EINTR:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_transient(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kBusy:
    case ErrorCode::kNoSpace:
      return true;
    case ErrorCode::kOs:
      return is_transient_errno(error.os_errno());
    case ErrorCode::kBadData:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kIncomplete:
    case ErrorCode::kCancelled:
      return false;
  }
  return false;
}

bool must_be_finished(const DomainRecord* record) {
  return record != nullptr && record->committed && record->has_snapshot() &&
         record->step != Step::kStarted;
}

milliseconds pause_after(unsigned failures) {
  constexpr unsigned kDoublings = 6;  // beyond the longest pause
  const seconds pause(1U << std::min(std::max(failures, 1U) - 1, kDoublings));
  return std::min(pause, kLongestPause);
}

std::optional<milliseconds> pause_before_retry(const Error& error, const DomainRecord* record,
                                               unsigned failures) {
  if (!must_be_finished(record) && !is_transient(error)) return {};
  return pause_after(failures);
}

Recreation plan_recreation(const DomainRecord& record, std::uint64_t shutdown_ms) {
  const auto settled_ms = static_cast<std::uint64_t>(milliseconds(kSettled).count());
  if (shutdown_ms < record.started_ms) return {{}, record.quick_restarts};
  if (shutdown_ms - record.started_ms >= settled_ms) return {};
  Recreation plan{{}, record.quick_restarts + 1};
  if (record.quick_restarts > 0) plan.pause = pause_after(record.quick_restarts);
  return plan;
}

bool Attempts::fail(const std::string& error, Clock next) {
  ++failures_;
  next_ = next;
  return std::exchange(error_, error) != error;
}

}  // namespace hadump
