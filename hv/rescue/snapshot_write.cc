// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <cstddef>
#include <cstring>

#include "hv/rescue/checksum.h"
#include "hv/rescue/elf_core.h"
#include "hv/rescue/low_copy.h"
#include "hv/rescue/snapshot.h"

namespace hadump {
namespace {

static_assert(sizeof(hadump_save_header) ==
              offsetof(hadump_save_header, complete) + sizeof(std::uint64_t));
static_assert(sizeof(hadump_hpte) == 24);
static_assert(sizeof(hadump_vcpu) == 272);

template <typename T>
void append(std::vector<std::byte>& out, const T* items, std::size_t count) {
  const auto bytes = std::as_bytes(std::span(items, count));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> cpu_section(const CpuState& cpus) {
  hadump_cpu_section head{};
  head.nr_vcpus = static_cast<u32>(cpus.vcpus.size());
  head.vcpu_size = sizeof(hadump_vcpu);
  head.context_offset = sizeof(head) + cpus.vcpus.size() * sizeof(hadump_vcpu);
  head.context_length = cpus.context.size();
  std::vector<std::byte> out;
  append(out, &head, 1);
  append(out, cpus.vcpus.data(), cpus.vcpus.size());
  append(out, cpus.context.data(), cpus.context.size());
  return out;
}

// Where each section is in guest-physical space.
class Placement {
 public:
  Placement(FrameRange save_area, const SaveLayout& layout) : area_(save_area), layout_(layout) {}
  GuestPhys at(hadump_section_index section) const {
    return {address_of(area_.begin).value + layout_.offset[section]};
  }
  FrameRange low(std::uint64_t bytes) const {
    return frames_of_bytes(at(HADUMP_SECTION_LOW).value, bytes);
  }

 private:
  FrameRange area_;
  const SaveLayout& layout_;
};

DumpNode make_node(const SnapshotInput& input, const Placement& place,
                   const std::array<std::uint64_t, HADUMP_NR_SECTIONS>& bytes) {
  DumpNode node;
  node.dump_id = input.dump_id;
  node.mode = input.mode;
  node.save_area = input.save_area;
  node.held = input.plan.held;
  if (input.mode == SaveMode::kRegistered) node.held.erase(input.save_area);
  FrameSet missing = input.survey.absent;
  missing.insert(input.survey.broken);
  node.holes = missing.intersection(node.held);
  std::uint64_t copy = place.at(HADUMP_SECTION_LOW).value;
  for (FrameRange region : input.plan.boot_regions) {
    node.boot_regions.push_back({region, GuestPhys{copy}});
    copy += region.bytes();
  }
  const auto section = [&](hadump_section_index index) {
    return PhysRange{place.at(index), bytes[index]};
  };
  node.block_table = section(HADUMP_SECTION_BLOCKS);
  node.elf_header = section(HADUMP_SECTION_ELFHDR);
  node.cpu_state = section(HADUMP_SECTION_CPU);
  node.hpte = section(HADUMP_SECTION_HPTE);
  node.crash_time = input.crash_time;
  node.boots = input.boots;
  return node;
}

// The small sections, ready to be written.
struct Sections {
  std::array<std::vector<std::byte>, HADUMP_NR_SECTIONS> bytes;
};

Result<Sections> build_sections(const SnapshotInput& input, const SaveLayout& layout) {
  const Placement place(input.save_area, layout);
  Sections sections;
  sections.bytes[HADUMP_SECTION_CPU] = cpu_section(input.cpus);
  const std::vector<hadump_hpte> records = input.survey.records();
  append(sections.bytes[HADUMP_SECTION_HPTE], records.data(), records.size());
  sections.bytes[HADUMP_SECTION_BLOCKS].resize(layout.capacity[HADUMP_SECTION_BLOCKS]);

  std::array<std::uint64_t, HADUMP_NR_SECTIONS> lengths{};
  DumpNode node = make_node(input, place, lengths);
  FrameSet frames = input.survey.dumped();
  if (input.mode == SaveMode::kRegistered) frames.erase(input.save_area);
  auto elf = build_elf_core_header({.at = place.at(HADUMP_SECTION_ELFHDR),
                                    .vcpus = input.cpus.vcpus,
                                    .vmcoreinfo_note = input.vmcoreinfo_note,
                                    .frames = std::move(frames),
                                    .boot_regions = node.boot_regions,
                                    .page_offset = input.page_offset});
  if (!elf) return fail(std::move(elf));
  sections.bytes[HADUMP_SECTION_ELFHDR] = std::move(*elf);
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) lengths[i] = sections.bytes[i].size();
  node = make_node(input, place, lengths);
  auto tree = encode_dump_node(node);
  if (!tree) return fail(std::move(tree));
  sections.bytes[HADUMP_SECTION_NODE] = std::move(*tree);
  const SnapshotLimits limits{.vcpus = input.cpus.vcpus.size()};
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) {
    if (sections.bytes[i].size() > layout.capacity[i])
      return fail(ErrorCode::kNoSpace, fmt::format("section {} does not fit the save area", i));
    // Nobody would read it back.
    if (sections.bytes[i].size() > max_section_bytes(static_cast<hadump_section_index>(i), limits))
      return fail(ErrorCode::kUnsupported,
                  fmt::format("section {} would have {} bytes", i, sections.bytes[i].size()));
  }
  return sections;
}

hadump_save_header make_header(const SnapshotInput& input, const SaveLayout& layout,
                               const Sections& sections, std::uint64_t low_checksum) {
  hadump_save_header header{};
  header.magic = HADUMP_SAVE_MAGIC;
  header.version = HADUMP_ABI_VERSION;
  header.header_size = sizeof(header);
  header.length = input.save_area.bytes();
  std::copy(input.dump_id.begin(), input.dump_id.end(), header.dump_id);
  header.crash_time = input.crash_time;
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) {
    hadump_section& section = header.sections[i];
    section.offset = layout.offset[i];
    section.length = sections.bytes[i].size();
    if (i != HADUMP_SECTION_BLOCKS) section.checksum = checksum(sections.bytes[i]);
  }
  header.sections[HADUMP_SECTION_LOW].length = input.plan.boot_bytes();
  header.sections[HADUMP_SECTION_LOW].checksum = low_checksum;
  header.header_checksum = checksum(
      std::as_bytes(std::span(&header, 1)).first(offsetof(hadump_save_header, header_checksum)));
  header.boots = input.boots;
  return header;
}

Result<> write_small_sections(const GuestMemory& memory, const Placement& place,
                              const Sections& sections) {
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) {
    const GuestPhys at = place.at(static_cast<hadump_section_index>(i));
    if (auto done = write_guest(memory, at, sections.bytes[i]); !done) return fail(std::move(done));
  }
  return {};
}

Result<> verify_small_sections(const GuestMemory& memory, const Placement& place,
                               const Sections& sections) {
  for (unsigned i = 0; i < HADUMP_NR_SECTIONS; ++i) {
    std::vector<std::byte> back(sections.bytes[i].size());
    const GuestPhys at = place.at(static_cast<hadump_section_index>(i));
    if (auto done = read_guest(memory, at, back); !done) return fail(std::move(done));
    if (back != sections.bytes[i])
      return fail(ErrorCode::kBadData, fmt::format("section {} does not read back as written", i));
  }
  return {};
}

}  // namespace

SaveLayout layout_of(const FrameSet& ram, const WindowPlan& plan, const FrameSurvey& survey,
                     const CpuState& cpus, std::size_t vmcoreinfo_bytes) {
  // Each released block can split a PT_LOAD in two when the header is rewritten.
  constexpr std::size_t kBytesPerVcpu = 512;
  constexpr std::size_t kProgramHeader = 56;
  const std::uint64_t blocks = block_table_bytes(ram);
  const std::size_t records = survey.records().size();
  return lay_out_save_area(
      {.cpu = cpu_section(cpus).size(),
       .hpte = records * sizeof(hadump_hpte),
       .low = plan.boot_bytes(),
       .elf_header = kFrameSize + cpus.vcpus.size() * kBytesPerVcpu + vmcoreinfo_bytes +
                     (records + 2 * blocks + plan.boot_regions.size()) * kProgramHeader,
       .blocks = blocks});
}

Result<> write_snapshot(const GuestMemory& memory, const SnapshotInput& input,
                        const SaveLayout& layout, StepTimes& times,
                        const std::function<Result<>()>& copied,
                        std::vector<FrameMapping>& mapped) {
  const Placement place(input.save_area, layout);
  if (layout.length > input.save_area.bytes())
    return fail(ErrorCode::kNoSpace, "the save area is too small");
  // A mark from an earlier life of these frames must not make half a snapshot look whole.
  if (auto done = zero_guest(memory, address_of(input.save_area.begin), kFrameSize); !done)
    return fail(std::move(done), "writing the save area");

  LowCopy low(memory, input.low_sources.empty() ? input.plan.boot_regions : input.low_sources,
              place.low(input.plan.boot_bytes()));
  auto low_checksum = low.copy();
  if (!low_checksum) return fail(std::move(low_checksum), "copying low memory");
  times.lap("copy");
  if (auto done = copied(); !done) return done;

  auto sections = build_sections(input, layout);
  if (!sections) return fail(std::move(sections), "describing the dump");
  if (auto done = write_small_sections(memory, place, *sections); !done)
    return fail(std::move(done), "writing the save area");
  times.lap("sections");

  auto again = low.check();
  if (!again) return fail(std::move(again), "reading low memory's copy back");
  if (*again != *low_checksum)
    return fail(ErrorCode::kBadData, "the copy of low memory does not read back as written");
  if (auto done = verify_small_sections(memory, place, *sections); !done)
    return fail(std::move(done), "reading the save area back");
  times.lap("verify");

  mapped = low.take_mappings();
  // From here on the snapshot counts.
  hadump_save_header header = make_header(input, layout, *sections, *low_checksum);
  const GuestPhys at = address_of(input.save_area.begin);
  if (auto done = write_guest(memory, at, std::as_bytes(std::span(&header, 1))); !done)
    return fail(std::move(done), "writing the save area's header");
  const std::uint64_t mark = HADUMP_SNAPSHOT_COMPLETE;
  return write_guest(memory, GuestPhys{at.value + offsetof(hadump_save_header, complete)},
                     std::as_bytes(std::span(&mark, 1)));
}

}  // namespace hadump
