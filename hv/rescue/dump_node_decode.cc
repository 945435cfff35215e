// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>

#include "core/abi/hadump_abi.h"
#include "core/base/endian.h"
#include "core/base/flat_tree.h"
#include "hv/rescue/dump_node.h"

namespace hadump {
namespace {

class TreeReader {
 public:
  explicit TreeReader(const FlatTreeNode& node) : node_(node) {}

  Result<std::span<const std::byte>> property(const char* name) const {
    return node_.property(name);
  }
  bool has(const char* name) const { return node_.has(name); }

  Result<std::vector<std::uint64_t>> numbers(const char* name, std::size_t per_entry,
                                             std::size_t max_entries) const {
    auto data = property(name);
    if (!data) return fail(std::move(data));
    const std::size_t entry_bytes = per_entry * sizeof(be64);
    if (data->size() % entry_bytes != 0 || data->size() / entry_bytes > max_entries)
      return fail(ErrorCode::kBadData, fmt::format("{} has {} bytes", name, data->size()));
    std::vector<be64> wire(data->size() / sizeof(be64));
    if (!wire.empty()) std::memcpy(wire.data(), data->data(), data->size());
    return std::vector<std::uint64_t>(wire.begin(), wire.end());
  }
  Result<std::uint32_t> number32(const char* name) const {
    auto data = property(name);
    if (!data) return fail(std::move(data));
    be32 wire;
    if (data->size() != sizeof(wire))
      return fail(ErrorCode::kBadData, fmt::format("{} has {} bytes", name, data->size()));
    std::memcpy(&wire, data->data(), sizeof(wire));
    return std::uint32_t{wire};
  }
  Result<std::string> text(const char* name) const {
    auto data = property(name);
    if (!data) return fail(std::move(data));
    const char* begin = reinterpret_cast<const char*>(data->data());
    if (data->empty() || begin[data->size() - 1] != '\0')
      return fail(ErrorCode::kBadData, fmt::format("{} is not a string", name));
    return std::string(begin);
  }
  Result<PhysRange> range(const char* name) const {
    auto values = numbers(name, 2, 1);
    if (!values) return fail(std::move(values));
    if (values->size() != 2) return fail(ErrorCode::kBadData, fmt::format("{} is empty", name));
    const PhysRange range{GuestPhys{(*values)[0]}, (*values)[1]};
    if (range.bytes == 0 || range.bytes > HADUMP_MAX_ADDRESS ||
        range.address.value > HADUMP_MAX_ADDRESS - range.bytes ||
        !is_aligned(range.address.value, kFrameSize))
      return fail(ErrorCode::kBadData, fmt::format("{} is not a sensible range", name));
    return range;
  }

 private:
  const FlatTreeNode& node_;
};

Result<FrameRange> checked_frames(const char* name, std::uint64_t address, std::uint64_t bytes) {
  if (!is_aligned(address, kFrameSize) || !is_aligned(bytes, kFrameSize) || bytes == 0 ||
      bytes > HADUMP_MAX_ADDRESS || address > HADUMP_MAX_ADDRESS - bytes)
    return fail(ErrorCode::kBadData,
                fmt::format("{}: {:#x} and {:#x} are not a range of frames", name, address, bytes));
  return frames_of_bytes(address, bytes);
}

Result<FrameSet> read_ranges(const TreeReader& tree, const char* name) {
  auto values = tree.numbers(name, 2, HADUMP_MAX_RANGES);
  if (!values) return fail(std::move(values));
  FrameSet set;
  Gfn last{0};
  for (std::size_t i = 0; i < values->size(); i += 2) {
    auto range = checked_frames(name, (*values)[i], (*values)[i + 1]);
    if (!range) return fail(std::move(range));
    if (range->begin < last)
      return fail(ErrorCode::kBadData, fmt::format("{} is not ascending", name));
    last = range->end;
    set.insert(*range);
  }
  return set;
}

Result<std::vector<BootRegion>> read_boot_regions(const TreeReader& tree) {
  auto values = tree.numbers(HADUMP_PROP_BOOT_REGIONS, 3, HADUMP_MAX_BOOT_REGIONS);
  if (!values) return fail(std::move(values));
  std::vector<BootRegion> regions;
  for (std::size_t i = 0; i < values->size(); i += 3) {
    auto range = checked_frames(HADUMP_PROP_BOOT_REGIONS, (*values)[i], (*values)[i + 1]);
    if (!range) return fail(std::move(range));
    auto copy = checked_frames(HADUMP_PROP_BOOT_REGIONS, (*values)[i + 2], range->bytes());
    if (!copy) return fail(std::move(copy));
    if (!regions.empty() && range->begin < regions.back().range.end)
      return fail(ErrorCode::kBadData, "hadump,boot-regions is not ascending");
    regions.push_back({*range, address_of(copy->begin)});
  }
  if (regions.empty()) return fail(ErrorCode::kBadData, "hadump,boot-regions is empty");
  return regions;
}

bool inside(const PhysRange& range, FrameRange area) {
  return address_of(area.begin) <= range.address &&
         range.address.value + range.bytes <= address_of(area.end).value;
}

// Sorted once: a set that is put together range by range costs their square.
bool are_disjoint(const DumpNode& node) {
  std::vector<FrameRange> all{node.save_area};
  for (const BootRegion& region : node.boot_regions) all.push_back(region.range);
  for (const FrameSet* set : {&node.held, &node.released})
    all.insert(all.end(), set->ranges().begin(), set->ranges().end());
  std::sort(all.begin(), all.end(),
            [](const FrameRange& a, const FrameRange& b) { return a.begin < b.begin; });
  return std::adjacent_find(all.begin(), all.end(), [](const FrameRange& a, const FrameRange& b) {
           return b.begin < a.end;
         }) == all.end();
}

// What must not overlap, and what must lie inside what.
Result<> check_relations(const DumpNode& node) {
  if (!are_disjoint(node)) return fail(ErrorCode::kBadData, "ranges of the dump node overlap");
  for (FrameRange range : node.holes.ranges())
    if (!node.held.contains(range) && !node.released.contains(range))
      return fail(ErrorCode::kBadData, "hadump,holes extends past the held ranges");
  for (const BootRegion& region : node.boot_regions)
    if (!inside({region.copy, region.range.bytes()}, node.save_area))
      return fail(ErrorCode::kBadData, "a boot region's copy is outside the save area");
  for (const PhysRange* range : {&node.block_table, &node.elf_header, &node.cpu_state, &node.hpte})
    if (!inside(*range, node.save_area))
      return fail(ErrorCode::kBadData, "a section is outside the save area");
  return {};
}

template <typename T>
bool take(Result<T>&& result, T& out, Error& error) {
  if (result) {
    out = std::move(*result);
    return true;
  }
  error = std::move(result).error();
  return false;
}

Result<> read_scalars(const TreeReader& tree, DumpNode& node) {
  auto version = tree.number32(HADUMP_PROP_VERSION);
  if (!version) return fail(std::move(version));
  if (*version != HADUMP_ABI_VERSION)
    return fail(ErrorCode::kUnsupported, fmt::format("dump node of version {}", *version));
  auto id = tree.property(HADUMP_PROP_DUMP_ID);
  if (!id) return fail(std::move(id));
  if (id->size() != node.dump_id.size())
    return fail(ErrorCode::kBadData, "hadump,dump-id has a wrong length");
  std::memcpy(node.dump_id.data(), id->data(), id->size());
  auto mode = tree.text(HADUMP_PROP_MODE).and_then([](const std::string& text) {
    return parse_save_mode(text);
  });
  if (!mode) return fail(std::move(mode));
  node.mode = *mode;
  auto time = tree.numbers(HADUMP_PROP_CRASH_TIME, 1, 1);
  if (!time) return fail(std::move(time));
  if (time->empty()) return fail(ErrorCode::kBadData, "hadump,crash-time is empty");
  node.crash_time = time->front();
  auto boots = tree.number32(HADUMP_PROP_BOOTS);
  if (!boots) return fail(std::move(boots));
  node.boots = *boots;
  return {};
}

Result<> read_range_lists(const TreeReader& tree, DumpNode& node) {
  Error error(ErrorCode::kBadData, "");
  PhysRange save_area;
  if (!take(read_boot_regions(tree), node.boot_regions, error) ||
      !take(tree.range(HADUMP_PROP_SAVE_AREA), save_area, error) ||
      !take(read_ranges(tree, HADUMP_PROP_HELD), node.held, error) ||
      !take(tree.range(HADUMP_PROP_BLOCKS), node.block_table, error) ||
      !take(tree.range(HADUMP_PROP_ELFCOREHDR), node.elf_header, error) ||
      !take(tree.range(HADUMP_PROP_CPU), node.cpu_state, error) ||
      !take(tree.range(HADUMP_PROP_HPTE), node.hpte, error))
    return tl::unexpected(std::move(error));
  if (tree.has(HADUMP_PROP_HOLES) && !take(read_ranges(tree, HADUMP_PROP_HOLES), node.holes, error))
    return tl::unexpected(std::move(error));
  if (tree.has(HADUMP_PROP_RELEASED) &&
      !take(read_ranges(tree, HADUMP_PROP_RELEASED), node.released, error))
    return tl::unexpected(std::move(error));
  auto frames = checked_frames(HADUMP_PROP_SAVE_AREA, save_area.address.value, save_area.bytes);
  if (!frames) return fail(std::move(frames));
  node.save_area = *frames;
  return {};
}

}  // namespace

Result<DumpNode> decode_dump_node(std::span<const std::byte> tree) {
  auto flat = FlatTreeNode::read(tree, HADUMP_NODE_NAME);
  if (!flat) return fail(std::move(flat));
  const TreeReader reader(*flat);
  if (!reader.has(HADUMP_PROP_MARKER))
    return fail(ErrorCode::kBadData, HADUMP_PROP_MARKER " is missing");
  DumpNode node;
  if (auto done = read_scalars(reader, node); !done) return fail(std::move(done));
  if (auto done = read_range_lists(reader, node); !done) return fail(std::move(done));
  if (auto done = check_relations(node); !done) return fail(std::move(done));
  return node;
}

}  // namespace hadump
