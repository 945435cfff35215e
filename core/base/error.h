// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace hadump {

/// What a caller can do about an error. Add one only with a caller that branches on it.
enum class ErrorCode {
  kOs,       ///< A system or library call failed; os_errno() says how.
  kBadData,  ///< Input (file, guest, xenstore, command line) breaks a rule. Retrying cannot help.
  kUnsupported,  ///< Well-formed, but of a kind or version that this build does not know.
  kNotFound,     ///< The thing asked for is not there.
  kNoSpace,      ///< The target is full. What was written stays readable.
  kBusy,         ///< Somebody else holds it, or its state forbids it now. Retrying later can help.
  kIncomplete,   ///< Finished, but with recorded losses.
  kCancelled,    ///< Asked to stop.
};

std::string_view to_string(ErrorCode code);

/// One failure: a code to branch on, the errno it came with (0 if none), and a sentence.
class Error {
 public:
  Error(ErrorCode code, std::string what) : code_(code), what_(std::move(what)) {}

  /// A failed call. ENOSPC and EDQUOT become kNoSpace, ENOENT kNotFound, the rest kOs.
  /// @param what  what was being done, as in "opening /proc/vmcore"; the errno's text is appended.
  static Error os(int errno_value, std::string_view what);

  ErrorCode code() const { return code_; }
  int os_errno() const { return errno_; }
  const std::string& what() const { return what_; }

  /// Prepends context on the way up: "saving domain 7: opening /proc/vmcore: No such file".
  Error during(std::string_view context) &&;

 private:
  ErrorCode code_;
  int errno_ = 0;
  std::string what_;
};

/// Every function that can fail returns this. `if (auto r = f(); !r) return fail(std::move(r),
/// "…");`
template <typename T = void>
using Result = tl::expected<T, Error>;

/// Passes a failure on with context. @pre !result.
template <typename T>
tl::unexpected<Error> fail(Result<T>&& result, std::string_view context) {
  return tl::unexpected<Error>(std::move(result).error().during(context));
}

/// Passes a failure on as it is. @pre !result.
template <typename T>
tl::unexpected<Error> fail(Result<T>&& result) {
  return tl::unexpected<Error>(std::move(result).error());
}

inline tl::unexpected<Error> fail(ErrorCode code, std::string what) {
  return tl::unexpected<Error>(Error(code, std::move(what)));
}

inline tl::unexpected<Error> fail_os(int errno_value, std::string_view what) {
  return tl::unexpected<Error>(Error::os(errno_value, what));
}

}  // namespace hadump
