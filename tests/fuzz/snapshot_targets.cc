// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest that runs again can make of the dump that waits in it.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "hv/domain/pvh_guest.h"
#include "hv/rescue/checksum.h"
#include "hv/rescue/snapshot.h"
#include "tests/fakes/in_memory_guest.h"
#include "tests/fuzz/targets.h"

namespace hadump {
namespace {

constexpr std::uint64_t kRam = 512_MiB;
constexpr std::uint64_t kWindow = 128_MiB;

/// A guest with a snapshot in added memory, as the agent has written it.
struct Machine {
  InMemoryGuest guest;
  FrameRange save_area;

  Machine() {
    const FrameSet ram = *pvh_ram(kRam);
    SnapshotInput input;
    input.dump_id = {1, 2, 3};
    input.plan = *plan_window(ram, kWindow);
    input.survey.ram = ram;
    input.survey.ram.erase({Gfn{0x10000}, Gfn{0x10010}});
    input.survey.absent.insert({Gfn{0x10000}, Gfn{0x10010}});
    input.cpus.vcpus.resize(2);
    input.cpus.context.resize(300);
    input.page_offset = GuestVirt{0xffff888000000000};
    const SaveLayout layout = layout_of(ram, input.plan, input.survey, input.cpus, 0);
    const Gfn start = added_save_area_start(ram);
    save_area = {start, Gfn{start.value + (layout.length >> kFrameShift)}};
    input.save_area = save_area;
    for (FrameRange range : ram.ranges()) guest.add(range);
    guest.add(save_area);
    StepTimes times([] { return std::chrono::nanoseconds(0); });
    std::vector<FrameMapping> mapped;
    if (!write_snapshot(
            guest, input, layout, times, [] { return Result<>(); }, mapped))
      std::abort();
  }
  GuestPhys base() const { return address_of(save_area.begin); }
  /// Header and small sections: all but LOW, which comes last.
  std::vector<std::byte> small_part() const {
    hadump_save_header header;
    read({std::as_writable_bytes(std::span(&header, 1))});
    std::vector<std::byte> bytes(header.sections[HADUMP_SECTION_LOW].offset);
    read(bytes);
    return bytes;
  }
  void read(std::span<std::byte> out) const {
    if (!read_guest(guest, base(), out)) std::abort();
  }
};

Machine& machine() {
  static Machine one;
  return one;
}

/// Makes the checksums fit, as a guest would that wants to be believed.
void fix_checksums(std::vector<std::byte>& area) {
  hadump_save_header header;
  if (area.size() < sizeof(header)) return;
  std::memcpy(&header, area.data(), sizeof(header));
  for (hadump_section& section : header.sections)
    if (section.offset <= area.size() && section.length <= area.size() - section.offset)
      section.checksum = checksum(std::span(area).subspan(section.offset, section.length));
  const std::uint64_t boots = header.boots;
  header.boots = 0;
  header.header_checksum = checksum(
      std::as_bytes(std::span(&header, 1)).first(offsetof(hadump_save_header, header_checksum)));
  header.boots = boots;
  std::memcpy(area.data(), &header, sizeof(header));
}

void read_save_area(std::span<const std::byte> input) {
  Machine& m = machine();
  static const std::size_t small_bytes = m.small_part().size();
  std::vector<std::byte> area(input.begin(), input.end());
  area.resize(small_bytes);
  fix_checksums(area);
  if (!write_guest(m.guest, m.base(), area)) std::abort();
  const auto saved = read_snapshot(m.guest, m.save_area, /*check_low=*/false);
  if (!saved) return;
  fuzz_require(saved->node.save_area == m.save_area, "the node speaks of this save area");
  std::string complaint;
  const auto rewrite = plan_rewrite(*saved, complaint);
  if (!rewrite) return;
  fuzz_require(apply_rewrite(m.guest, m.save_area, *rewrite).has_value(), "a rewrite fits");
  const auto again = read_snapshot(m.guest, m.save_area, /*check_low=*/false);
  fuzz_require(again && again->node.boots == saved->node.boots + 1, "a rewrite reads back");
}

std::vector<std::vector<std::byte>> save_area_seeds() {
  Machine fresh;
  const std::vector<std::byte> seed = fresh.small_part();
  std::vector<std::byte> released = seed;
  hadump_save_header header;
  std::memcpy(&header, seed.data(), sizeof(header));
  released[header.sections[HADUMP_SECTION_BLOCKS].offset + 2] = std::byte{HADUMP_BLOCK_RELEASED};
  return {seed, released};
}

void read_node(std::span<const std::byte> input) {
  const auto node = decode_dump_node(input);
  if (!node) return;
  const auto tree = encode_dump_node(*node);
  fuzz_require(tree.has_value(), "what was read can be written");
  const auto again = decode_dump_node(*tree);
  fuzz_require(again && *again == *node, "a node comes back as it was");
}

std::vector<std::vector<std::byte>> node_seeds() {
  const Machine fresh;
  const auto saved = read_snapshot(fresh.guest, fresh.save_area, /*check_low=*/false);
  if (!saved) std::abort();
  return {*encode_dump_node(saved->node)};
}

}  // namespace

const FuzzTarget kFuzzSaveArea = {"save_area", read_save_area, save_area_seeds};
const FuzzTarget kFuzzNode = {"node", read_node, node_seeds};

}  // namespace hadump
