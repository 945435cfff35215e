// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/held_file.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// The right to save a dump: one process has it at a time, and it ends with that process, however
/// that ends. The file says who it is.
class SaveLock {
 public:
  /// @param path    of the file, which is made, and removed at the end. Its directory is made when
  ///                missing.
  /// @param holder  who asks, for those who come later.
  /// @return kBusy when somebody else has it; the text says who. kOs when the file cannot be made,
  ///         kBadData when it is not an ordinary one or others can change it or the way to it.
  static Result<SaveLock> take(const std::string& path, std::string_view holder);

  /// The same, once it is free.
  /// @param on_wait    told once who has it; may be empty.
  /// @param cancelled  asked often; true ends it with kCancelled. May be empty.
  static Result<SaveLock> wait(const std::string& path, std::string_view holder,
                               const std::function<void(const std::string& who)>& on_wait,
                               const std::function<bool()>& cancelled);

  SaveLock(SaveLock&&) = default;
  SaveLock& operator=(SaveLock&&) = delete;
  ~SaveLock();

  /// A process that inherits this has the lock, too, until its end. Borrowed.
  int fd() const { return fd_.get(); }

 private:
  SaveLock(HeldFile file, UniqueFd fd) : file_(std::move(file)), fd_(std::move(fd)) {}

  HeldFile file_;
  UniqueFd fd_;
};

}  // namespace hadump
