// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel module reads in ring 0: the dump node, a tree that lies in memory, and what root
// writes to release_region.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "tests/fuzz/targets.h"
#include "tests/guest/fake_dump.h"

extern "C" {
#include "node.h"
#include "release_text.h"
}

namespace hadump {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

void require_list(const hadump_list& list, std::span<const std::byte> tree) {
  if (list.nr == 0) return;
  const auto* begin = reinterpret_cast<const std::byte*>(list.data);
  const std::size_t bytes = std::size_t{list.nr} * list.stride * sizeof(u64);
  fuzz_require(
      begin >= tree.data() && bytes <= static_cast<std::size_t>(tree.data() + tree.size() - begin),
      "lists lie inside the tree");
  u64 last = 0;
  for (u32 i = 0; i < list.nr; ++i) {
    const hadump_range range = hadump_list_range(&list, i);
    fuzz_require(range.start >= last && range.start < range.end && range.end <= HADUMP_MAX_ADDRESS,
                 "ranges are in order, and below the limit");
    last = range.end;
  }
}

void require_inside(const hadump_node& node, const hadump_range& part) {
  fuzz_require(hadump_range_contains(node.save_area, part), "sections lie in the save area");
}

void read_module_node(std::span<const std::byte> input) {
  // A copy of just that size, so that a read past its end is seen.
  const auto copy = std::make_unique<std::byte[]>(input.size());
  if (!input.empty()) std::memcpy(copy.get(), input.data(), input.size());
  const std::span<const std::byte> tree(copy.get(), input.size());
  hadump_node node;
  const char* why = nullptr;
  if (hadump_node_read(tree.data(), static_cast<u32>(tree.size()), &node, &why) != 0) {
    fuzz_require(why != nullptr, "a refusal has a reason");
    return;
  }
  for (const hadump_list* list : {&node.boot_regions, &node.held, &node.holes, &node.released})
    require_list(*list, tree);
  for (const hadump_range& part :
       {node.block_table, node.elfcorehdr, node.cpu, node.hpte, node.low})
    require_inside(node, part);
}

std::vector<std::vector<std::byte>> module_node_seeds() {
  FakeDump plain;
  plain.save_area = {0x40000000, 0x60000000};
  plain.boot_regions = {{0, 256 * kMiB}};
  plain.held = {{0x10000000, 0x40000000}};
  FakeDump full = plain;
  full.boot_regions = {{0, 256 * kMiB}, {0x3e000000, 0x3e400000}};
  full.held = {{0x10000000, 0x20000000}, {0x28000000, 0x38000000}};
  full.holes = {{0x10000000, 0x10003000}, {0x2ffff000, 0x30001000}};
  full.released = {{0x20000000, 0x28000000}};
  full.boots = 3;
  return {build_tree(plain), build_tree(full)};
}

void read_release_text(std::span<const std::byte> input) {
  // sysfs ends every write with a zero byte.
  const auto copy = std::make_unique<char[]>(input.size() + 1);
  if (!input.empty()) std::memcpy(copy.get(), input.data(), input.size());
  u64 start = 0, length = 0;
  if (hadump_parse_range(copy.get(), &start, &length) != 0) return;

  const std::string_view text(copy.get());
  fuzz_require(text.find_first_not_of("0123456789abcdefABCDEFxX \n") == text.npos,
               "nothing but two numbers is taken");
  char* end = nullptr;
  fuzz_require(std::strtoull(copy.get(), &end, 16) == start, "the C library reads the same start");
  fuzz_require(*end == ' ' && std::strtoull(end, &end, 16) == length, "and the same length");
  fuzz_require(*end == '\0' || (*end == '\n' && end[1] == '\0'), "nothing is left over");
}

std::vector<std::vector<std::byte>> release_text_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  for (std::string_view text :
       {"0x10000000 0x8000000", "10000000 8000000\n", "0X0 ffffffffffffffff"}) {
    const auto bytes = std::as_bytes(std::span(text));
    seeds.emplace_back(bytes.begin(), bytes.end());
  }
  return seeds;
}

}  // namespace

const FuzzTarget kFuzzReleaseText{"release_text", read_release_text, release_text_seeds};
const FuzzTarget kFuzzModuleNode{"module_node", read_module_node, module_node_seeds};

}  // namespace hadump
