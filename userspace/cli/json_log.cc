// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/json_log.h"

#include "userspace/cli/json.h"

namespace hadump {
namespace {

class JsonLogFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& dest) override {
    const auto level = spdlog::level::to_string_view(msg.level);
    const std::string line =
        json_text({{"level", std::string(level.data(), level.size())},
                   {"message", std::string(msg.payload.data(), msg.payload.size())}}) +
        '\n';
    dest.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonLogFormatter>();
  }
};

}  // namespace

std::unique_ptr<spdlog::formatter> json_log_formatter() {
  return std::make_unique<JsonLogFormatter>();
}

}  // namespace hadump
