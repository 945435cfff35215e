// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/log_file.h"

#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <mutex>
#include <span>
#include <utility>

#include "core/base/file.h"
#include "core/base/trusted_path.h"

namespace hadump {
namespace {

class LogFile : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LogFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    const auto bytes = std::as_bytes(std::span(line.data(), line.size()));
    if (auto done = write_all(fd_.get(), bytes, path_); !done)
      throw spdlog::spdlog_ex(done.error().what());
  }
  void flush_() override {}

 private:
  UniqueFd fd_;
  std::string path_;
};

}  // namespace

spdlog::sink_ptr open_log_file(const std::string& path) {
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(path, error).string();
  if (error) throw spdlog::spdlog_ex("finding " + path + ": " + error.message());
  auto fd = hold_trusted(absolute).and_then([](const HeldFile& file) {
    return file.open(O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0600);
  });
  if (!fd) throw spdlog::spdlog_ex("the log: " + fd.error().what());
  if (auto ours = check_trusted_file(fd->get(), path); !ours)
    throw spdlog::spdlog_ex(ours.error().what());
  if (::fchmod(fd->get(), 0600) != 0)
    throw spdlog::spdlog_ex("changing the mode of " + path, errno);
  return std::make_shared<LogFile>(std::move(*fd), path);
}

}  // namespace hadump
