// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include <string_view>

namespace hadump {
namespace {

std::string_view priority_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
      return SD_CRIT;
    case spdlog::level::err:
      return SD_ERR;
    case spdlog::level::warn:
      return SD_WARNING;
    case spdlog::level::info:
      return SD_INFO;
    default:
      return SD_DEBUG;
  }
}

class PriorityFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string_view priority = priority_of(message.level);
    out.append(priority.data(), priority.data() + priority.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PriorityFlag>();
  }
};

}  // namespace

bool is_journal(int fd, const char* journal_stream) {
  struct stat info {};
  return journal_stream != nullptr && fstat(fd, &info) == 0 &&
         fmt::format("{}:{}", info.st_dev, info.st_ino) == journal_stream;
}

std::unique_ptr<spdlog::formatter> log_formatter(bool journal) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PriorityFlag>('*').set_pattern(journal ? "%*%l: %v"
                                                             : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  return formatter;
}

}  // namespace hadump
