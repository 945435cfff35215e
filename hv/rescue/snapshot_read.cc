// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "hv/domain/page_offset.h"
#include "hv/rescue/checksum.h"
#include "hv/rescue/elf_core.h"
#include "hv/rescue/low_copy.h"
#include "hv/rescue/snapshot.h"

namespace hadump {
namespace {

// An HVM context: Xen 4.17 has 7 KiB for each vCPU with AVX-512, 18 KiB with AMX, and what belongs
// to no vCPU.
constexpr std::uint64_t kMaxContextPerVcpu = 32_KiB;
constexpr std::uint64_t kMaxContextOfMachine = 64_KiB;

tl::unexpected<Error> bad(std::string_view what) {
  return fail(ErrorCode::kBadData, fmt::format("the snapshot's {}", what));
}

std::uint64_t header_checksum(hadump_save_header header) {
  header.boots = 0;
  return checksum(
      std::as_bytes(std::span(&header, 1)).first(offsetof(hadump_save_header, header_checksum)));
}

Result<> check_header(const hadump_save_header& header, FrameRange save_area) {
  if (header.complete != HADUMP_SNAPSHOT_COMPLETE || header.magic != HADUMP_SAVE_MAGIC)
    return fail(ErrorCode::kNotFound, "there is no complete snapshot");
  if (header.version != HADUMP_ABI_VERSION)
    return fail(ErrorCode::kUnsupported, fmt::format("a snapshot of version {}", header.version));
  if (header.header_size != sizeof(header) || header.header_checksum != header_checksum(header))
    return bad("header is damaged");
  if (header.length != save_area.bytes()) return bad("length is not the save area's");
  for (const hadump_section& section : header.sections)
    if (!is_aligned(section.offset, kFrameSize) || section.offset < kFrameSize ||
        section.offset > header.length || section.length > header.length - section.offset)
      return bad("sections extend past it");
  return {};
}

// Before the first allocation, so that no section is read when any is absurd.
Result<> check_lengths(const hadump_save_header& header, const SnapshotLimits& limits) {
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i)
    if (header.sections[i].length > max_section_bytes(static_cast<hadump_section_index>(i), limits))
      return bad(fmt::format("section {} is too long", i));
  return {};
}

Result<std::vector<std::byte>> read_section(const GuestMemory& memory, FrameRange save_area,
                                            const hadump_save_header& header,
                                            hadump_section_index index) {
  const hadump_section& section = header.sections[index];
  std::vector<std::byte> bytes(section.length);
  const GuestPhys at{address_of(save_area.begin).value + section.offset};
  if (auto done = read_guest(memory, at, bytes); !done) return fail(std::move(done));
  if (index != HADUMP_SECTION_BLOCKS && checksum(bytes) != section.checksum)
    return bad(fmt::format("section {} has a wrong checksum", static_cast<int>(index)));
  return bytes;
}

Result<CpuState> parse_cpus(std::span<const std::byte> bytes, const SnapshotLimits& limits) {
  hadump_cpu_section head;
  if (bytes.size() < sizeof(head)) return bad("CPU section is too short");
  std::memcpy(&head, bytes.data(), sizeof(head));
  const std::uint64_t records = std::uint64_t{head.nr_vcpus} * sizeof(hadump_vcpu);
  if (head.nr_vcpus == 0 || head.nr_vcpus > limits.vcpus || head.vcpu_size != sizeof(hadump_vcpu) ||
      records > bytes.size() - sizeof(head) || head.context_offset > bytes.size() ||
      head.context_length > bytes.size() - head.context_offset)
    return bad("CPU section is damaged");
  CpuState cpus;
  cpus.vcpus.resize(head.nr_vcpus);
  std::memcpy(cpus.vcpus.data(), bytes.data() + sizeof(head), records);
  const auto context = bytes.subspan(head.context_offset, head.context_length);
  cpus.context.assign(context.begin(), context.end());
  return cpus;
}

Result<> check_low_section(const GuestMemory& memory, const SavedSnapshot& saved) {
  const hadump_section& low = saved.header.sections[HADUMP_SECTION_LOW];
  std::vector<FrameRange> regions;
  std::uint64_t bytes = 0;
  for (const BootRegion& region : saved.node.boot_regions) {
    regions.push_back(region.range);
    bytes += region.range.bytes();
  }
  if (bytes != low.length) return bad("copy of low memory has a wrong length");
  const std::uint64_t at = address_of(saved.node.save_area.begin).value + low.offset;
  auto sum = LowCopy(memory, regions, frames_of_bytes(at, bytes)).check();
  if (!sum) return fail(std::move(sum));
  if (*sum != low.checksum) return bad("copy of low memory has a wrong checksum");
  return {};
}

Result<FrameSurvey> parse_records(std::span<const std::byte> bytes) {
  if (bytes.size() % sizeof(hadump_hpte) != 0) return bad("HPTE section is damaged");
  std::vector<hadump_hpte> records(bytes.size() / sizeof(hadump_hpte));
  if (!records.empty()) std::memcpy(records.data(), bytes.data(), bytes.size());
  return survey_from_records(records);
}

// Whether a section can grow to `bytes` without reaching the one after it.
Result<> check_room(const hadump_save_header& header, hadump_section_index index,
                    std::uint64_t bytes) {
  const std::uint64_t begin = header.sections[index].offset;
  for (const hadump_section& other : header.sections)
    if (other.offset > begin && begin + bytes > other.offset)
      return fail(ErrorCode::kNoSpace, "the save area has no room for more pieces of memory");
  return {};
}

}  // namespace

std::uint64_t max_section_bytes(hadump_section_index index, const SnapshotLimits& limits) {
  switch (index) {
    case HADUMP_SECTION_CPU:
      return sizeof(hadump_cpu_section) + kMaxContextOfMachine +
             limits.vcpus * (sizeof(hadump_vcpu) + kMaxContextPerVcpu);
    case HADUMP_SECTION_HPTE:
      return kMaxSurveyRecords * sizeof(hadump_hpte);
    case HADUMP_SECTION_ELFHDR:
      return max_elf_core_header_bytes(limits.vcpus);
    case HADUMP_SECTION_NODE:
      return HADUMP_MAX_NODE_SIZE;
    case HADUMP_SECTION_BLOCKS:
      return round_up(limits.blocks, kFrameSize);
    case HADUMP_SECTION_LOW:
    case HADUMP_NR_SECTIONS:
      break;
  }
  return HADUMP_MAX_ADDRESS;
}

Result<SavedSnapshot> read_snapshot(const GuestMemory& memory, FrameRange save_area, bool check_low,
                                    const SnapshotLimits& limits) {
  SavedSnapshot saved{};
  auto done = read_guest(memory, address_of(save_area.begin),
                         std::as_writable_bytes(std::span(&saved.header, 1)));
  if (!done) return fail(std::move(done), "reading the save area");
  if (auto ok = check_header(saved.header, save_area); !ok) return fail(std::move(ok));
  if (auto ok = check_lengths(saved.header, limits); !ok) return fail(std::move(ok));

  std::array<std::vector<std::byte>, HADUMP_NR_SECTIONS> bytes;
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) {
    if (i == HADUMP_SECTION_LOW) continue;
    auto section =
        read_section(memory, save_area, saved.header, static_cast<hadump_section_index>(i));
    if (!section) return fail(std::move(section));
    bytes[i] = std::move(*section);
  }
  auto node = decode_dump_node(bytes[HADUMP_SECTION_NODE]);
  if (!node) return fail(std::move(node), "the snapshot's node");
  if (node->save_area != save_area) return bad("node names another save area");
  auto cpus = parse_cpus(bytes[HADUMP_SECTION_CPU], limits);
  if (!cpus) return fail(std::move(cpus));
  auto survey = parse_records(bytes[HADUMP_SECTION_HPTE]);
  if (!survey) return fail(std::move(survey));
  saved.node = std::move(*node);
  saved.cpus = std::move(*cpus);
  saved.survey = std::move(*survey);
  saved.elf_header = std::move(bytes[HADUMP_SECTION_ELFHDR]);
  for (std::byte block : bytes[HADUMP_SECTION_BLOCKS])
    saved.blocks.push_back(std::to_integer<std::uint8_t>(block));
  if (check_low)
    if (auto ok = check_low_section(memory, saved); !ok) return fail(std::move(ok));
  return saved;
}

FrameSet released_blocks(const SavedSnapshot& saved, std::string& complaint) {
  FrameSet released;
  constexpr std::uint64_t kBlockFrames = HADUMP_BLOCK_SIZE >> kFrameShift;
  for (std::size_t i = 0; i < saved.blocks.size(); ++i) {
    if (saved.blocks[i] == HADUMP_BLOCK_HELD) continue;
    const FrameRange block{Gfn{i * kBlockFrames}, Gfn{(i + 1) * kBlockFrames}};
    const bool known = saved.blocks[i] == HADUMP_BLOCK_RELEASED;
    if (known && saved.node.held.contains(block))
      released.insert(block);
    else if (!known || !saved.node.released.contains(block))
      complaint = fmt::format(
          "the guest's block table has an invalid entry for block {}; treating the block as held",
          i);
  }
  return released;
}

Result<SnapshotRewrite> plan_rewrite(const SavedSnapshot& saved, std::string& complaint) {
  DumpNode node = saved.node;
  const FrameSet released = released_blocks(saved, complaint);
  node.held.erase(released);
  node.released.insert(released);
  FrameSet holes = node.holes;
  node.holes = holes.intersection(node.held);
  ++node.boots;

  FrameSet frames = saved.survey.dumped();
  frames.erase(node.released);
  if (node.mode == SaveMode::kRegistered) frames.erase(node.save_area);
  auto elf = build_elf_core_header({.at = node.elf_header.address,
                                    .vcpus = saved.cpus.vcpus,
                                    .vmcoreinfo_note = vmcoreinfo_note_of(saved.elf_header),
                                    .frames = std::move(frames),
                                    .boot_regions = node.boot_regions,
                                    .page_offset = page_offset_of(saved.elf_header)});
  if (!elf) return fail(std::move(elf));
  node.elf_header.bytes = elf->size();
  auto tree = encode_dump_node(node);
  if (!tree) return fail(std::move(tree));

  if (auto fits = check_room(saved.header, HADUMP_SECTION_ELFHDR, elf->size()); !fits)
    return fail(std::move(fits));
  if (auto fits = check_room(saved.header, HADUMP_SECTION_NODE, tree->size()); !fits)
    return fail(std::move(fits));

  SnapshotRewrite rewrite;
  hadump_save_header header = saved.header;
  const auto replace = [&header](hadump_section_index index, std::span<const std::byte> bytes) {
    header.sections[index].length = bytes.size();
    header.sections[index].checksum = checksum(bytes);
    return header.sections[index].offset;
  };
  rewrite.elf_header_offset = replace(HADUMP_SECTION_ELFHDR, *elf);
  rewrite.node_offset = replace(HADUMP_SECTION_NODE, *tree);
  header.boots = node.boots;
  header.header_checksum = header_checksum(header);
  rewrite.elf_header = std::move(*elf);
  rewrite.node = std::move(*tree);
  const auto bytes = std::as_bytes(std::span(&header, 1));
  rewrite.header.assign(bytes.begin(), bytes.end());
  return rewrite;
}

Result<> apply_rewrite(const GuestMemory& memory, FrameRange save_area,
                       const SnapshotRewrite& rewrite) {
  const std::uint64_t base = address_of(save_area.begin).value;
  const struct {
    std::uint64_t offset;
    const std::vector<std::byte>& bytes;
  } pieces[] = {{rewrite.elf_header_offset, rewrite.elf_header},
                {rewrite.node_offset, rewrite.node},
                {0, rewrite.header}};
  for (const auto& piece : pieces) {
    if (piece.offset > save_area.bytes() || piece.bytes.size() > save_area.bytes() - piece.offset)
      return fail(ErrorCode::kBadData, "a rewrite reaches beyond the save area");
    if (auto done = write_guest(memory, GuestPhys{base + piece.offset}, piece.bytes); !done)
      return fail(std::move(done), "rewriting the save area");
  }
  return {};
}

}  // namespace hadump
