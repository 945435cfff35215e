// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

namespace hadump {

/// Makes a C close function usable as a deleter: the type carries it, the object costs a pointer.
template <auto kClose>
struct CloseWith {
  template <typename T>
  void operator()(T* handle) const noexcept {
    static_cast<void>(kClose(handle));  // Close errors leave the handle closed; nothing to do.
  }
};
template <typename T, auto kClose>
using UniqueHandle = std::unique_ptr<T, CloseWith<kClose>>;

/// Owns one file descriptor; -1 is none. Errors of close() are lost: whoever needs the bytes on
/// disk calls fsync() first and looks at what that says.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) static_cast<void>(::close(std::exchange(fd_, -1)));
  }

 private:
  int fd_ = -1;
};

}  // namespace hadump
