// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/stream_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/text.h"
#include "hv/hadump/answer.h"

namespace hadump {
namespace {

using StreamJson = nlohmann::ordered_json;
constexpr std::uint64_t kMsPerSecond = 1000;

// Before it has a name.
std::string file_or_dash(const StreamJson& stream) {
  const std::string file = text_at(stream, "file");
  return file.empty() ? "-" : file;
}

std::string stream_row(const StreamJson& stream, std::uint64_t now_ms) {
  const std::uint64_t begun_ms = number_at(stream, "begun_ms");
  const std::uint64_t elapsed_ms = now_ms > begun_ms ? now_ms - begun_ms : 0;
  const std::uint64_t received = number_at(stream, "received_bytes");
  // As exact as a reader needs, and without an overflow.
  const std::uint64_t rate = elapsed_ms < kMsPerSecond ? 0 : received / (elapsed_ms / kMsPerSecond);
  return fmt::format("{:<24} {:>9} {:>9} {:>11}  {}\n", text_at(stream, "domain"),
                     format_size(received), format_size(number_at(stream, "durable_bytes")),
                     rate == 0 ? "-" : format_size(rate) + "/s", file_or_dash(stream));
}

}  // namespace

void attach_streams(StreamJson& answer) {
  if (!answer.contains("streams") || !answer["streams"].is_array()) return;
  if (!answer.contains("domains") || !answer["domains"].is_array()) return;
  for (const StreamJson& stream : answer["streams"])
    for (StreamJson& domain : answer["domains"]) {
      if (!stream.is_object() || text_at(domain, "uuid") != text_at(stream, "uuid") ||
          number_at(domain, "domid") != number_at(stream, "domid"))
        continue;
      if (!domain["streams"].is_array()) domain["streams"] = StreamJson::array();
      domain["streams"].push_back(stream);
    }
}

std::string streams_table(const StreamJson& domains, std::uint64_t now_ms) {
  std::string rows;
  for (const StreamJson& domain : domains)
    if (domain.contains("streams"))
      for (const StreamJson& stream : domain["streams"]) rows += stream_row(stream, now_ms);
  if (rows.empty()) return rows;
  return fmt::format("\n{:<24} {:>9} {:>9} {:>11}  FILE\n", "STREAM OF", "RECEIVED", "DURABLE",
                     "RATE") +
         rows;
}

std::string streams_text(const StreamJson& domain) {
  std::string out;
  if (domain.contains("streams"))
    for (const StreamJson& stream : domain["streams"])
      out += fmt::format("  stream    {}, {} received, {} durable\n", file_or_dash(stream),
                         format_size(number_at(stream, "received_bytes")),
                         format_size(number_at(stream, "durable_bytes")));
  return out;
}

}  // namespace hadump
