// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/json_log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

namespace hadump {
namespace {

TEST(JsonLog, IsOneObjectALine) {
  std::ostringstream out;
  spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  log.set_formatter(json_log_formatter());
  log.warn("a \"name\"\nof two lines");
  EXPECT_EQ(out.str(), "{\"level\":\"warning\",\"message\":\"a \\\"name\\\"\\nof two lines\"}\n");
}

}  // namespace
}  // namespace hadump
