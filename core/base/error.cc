// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/error.h"

#include <cerrno>
#include <system_error>

namespace hadump {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOs:
      return "os";
    case ErrorCode::kBadData:
      return "bad-data";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kNotFound:
      return "not-found";
    case ErrorCode::kNoSpace:
      return "no-space";
    case ErrorCode::kBusy:
      return "busy";
    case ErrorCode::kIncomplete:
      return "incomplete";
    case ErrorCode::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

namespace {

ErrorCode code_for(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::kNoSpace;
    case ENOENT:
      return ErrorCode::kNotFound;
    default:
      return ErrorCode::kOs;
  }
}

}  // namespace

Error Error::os(int errno_value, std::string_view what) {
  std::string text(what);
  text += ": ";
  text += std::generic_category().message(errno_value);
  Error error(code_for(errno_value), std::move(text));
  error.errno_ = errno_value;
  return error;
}

Error Error::during(std::string_view context) && {
  what_.insert(0, ": ");
  what_.insert(0, context);
  return std::move(*this);
}

}  // namespace hadump
