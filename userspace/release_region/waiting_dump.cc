// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/waiting_dump.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "core/abi/hadump_abi.h"
#include "core/base/endian.h"
#include "core/base/file.h"
#include "core/base/flat_tree.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

// The property's bytes; empty when it is not there.
std::span<const std::byte> property(const FlatTreeNode& node, const char* name) {
  const auto value = node.property(name);
  return value ? *value : std::span<const std::byte>();
}

template <typename T>
T number(std::span<const std::byte> value) {
  if (value.size() != sizeof(T)) return 0;
  EndianInt<T, true> raw;
  std::memcpy(&raw, value.data(), sizeof(raw));
  return raw;
}

std::string hex_text(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::byte b : bytes) {
    text += kDigits[std::to_integer<unsigned>(b) >> 4];
    text += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

std::string string_of(std::span<const std::byte> value) {
  std::string text(reinterpret_cast<const char*>(value.data()), value.size());
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());
  const bool known = text == "added" || text == "registered";
  return known ? text : std::string();
}

bool is_dump_id(const std::string& text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Result<WaitingDump> parse_dump_node(std::span<const std::byte> blob) {
  const auto node = FlatTreeNode::read(blob, HADUMP_NODE_NAME);
  if (!node)
    return fail(node.error().code(), fmt::format("the dump node: {}", node.error().what()));

  WaitingDump dump;
  const auto id = property(*node, HADUMP_PROP_DUMP_ID);
  if (id.size() == 16) dump.dump_id = hex_text(id);
  dump.mode = string_of(property(*node, HADUMP_PROP_MODE));
  dump.crash_time = number<std::uint64_t>(property(*node, HADUMP_PROP_CRASH_TIME));
  dump.boots = number<std::uint32_t>(property(*node, HADUMP_PROP_BOOTS));
  return dump;
}

Result<WaitingDump> read_waiting_dump(const std::string& kernel_dir) {
  if (::access((kernel_dir + "/release_region").c_str(), F_OK) != 0)
    return fail(ErrorCode::kNotFound, "no dump waits here");
  auto id = read_text_file(kernel_dir + "/hadump/dump_id", 64);
  if (!id) return fail(std::move(id));
  while (!id->empty() && id->back() == '\n') id->pop_back();

  // Without the node the dump is still there to be saved; only its time of crash is not known.
  WaitingDump dump;
  if (auto blob = read_file(kernel_dir + "/hadump/node", HADUMP_MAX_NODE_SIZE))
    if (auto parsed = parse_dump_node(*blob)) dump = *parsed;
  if (is_dump_id(*id)) dump.dump_id = *id;
  if (dump.dump_id.empty()) return fail(ErrorCode::kBadData, "the waiting dump has no id");
  return dump;
}

int no_dump(const CommandCall& call, const char* name, const Error& error) {
  complain(call, name, error.what());
  return error.code() == ErrorCode::kNotFound ? kExitNothing : exit_code_of(error);
}

}  // namespace hadump
