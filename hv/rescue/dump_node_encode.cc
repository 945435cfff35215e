// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>
#include <libfdt.h>

#include <memory>

#include "core/abi/hadump_abi.h"
#include "core/base/endian.h"
#include "hv/rescue/dump_node.h"

namespace hadump {
namespace {

struct RtasHeader {
  be32 format_version;
  be16 sections;
  be16 status;
  be32 first_section_offset;
  be32 disk_block_size;
  be64 disk_block_offset;
  be64 disk_blocks;
  be32 disk_path_offset;
  be32 time_limit;
};
static_assert(sizeof(RtasHeader) == 40);

struct RtasSection {
  be32 request_flag;
  be16 source_type;
  be16 error_flags;
  be64 source_address;
  be64 source_bytes;
  be64 bytes_dumped;
  be64 destination;
};
static_assert(sizeof(RtasSection) == 40);

RtasSection rtas_section(std::uint16_t type, std::uint64_t source, std::uint64_t bytes,
                         GuestPhys destination) {
  RtasSection section;
  section.request_flag = HADUMP_RTAS_REQUEST_FLAG;
  section.source_type = type;
  section.source_address = source;
  section.source_bytes = bytes;
  section.bytes_dumped = bytes;
  section.destination = destination.value;
  return section;
}

std::vector<std::byte> rtas_structure(const DumpNode& node) {
  std::vector<RtasSection> sections;
  sections.push_back(
      rtas_section(HADUMP_RTAS_CPU, 0, node.cpu_state.bytes, node.cpu_state.address));
  sections.push_back(rtas_section(HADUMP_RTAS_HPTE, 0, node.hpte.bytes, node.hpte.address));
  for (const BootRegion& region : node.boot_regions)
    sections.push_back(rtas_section(HADUMP_RTAS_RMR, address_of(region.range.begin).value,
                                    region.range.bytes(), region.copy));
  RtasHeader header;
  header.format_version = HADUMP_RTAS_FORMAT_VERSION;
  header.sections = static_cast<std::uint16_t>(sections.size());
  header.status = HADUMP_RTAS_STATUS_PERFORMED;
  header.first_section_offset = sizeof(RtasHeader);

  std::vector<std::byte> bytes(sizeof(header) + sections.size() * sizeof(RtasSection));
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), sections.data(),
              sections.size() * sizeof(RtasSection));
  return bytes;
}

// Writes properties until one does not fit; the first error stays.
class TreeWriter {
 public:
  TreeWriter() : buffer_(HADUMP_MAX_NODE_SIZE) {
    note(fdt_create(buffer_.data(), HADUMP_MAX_NODE_SIZE));
    note(fdt_finish_reservemap(buffer_.data()));
  }
  void begin(const char* name) { note(fdt_begin_node(buffer_.data(), name)); }
  void end() { note(fdt_end_node(buffer_.data())); }
  void property(const char* name, const void* data, std::size_t bytes) {
    note(fdt_property(buffer_.data(), name, data, static_cast<int>(bytes)));
  }
  void text(const char* name, std::string_view value) {
    const std::string terminated(value);
    property(name, terminated.c_str(), terminated.size() + 1);
  }
  void number32(const char* name, std::uint32_t value) {
    const be32 wire = value;
    property(name, &wire, sizeof(wire));
  }
  void numbers(const char* name, const std::vector<std::uint64_t>& values) {
    const std::vector<be64> wire(values.begin(), values.end());
    property(name, wire.data(), wire.size() * sizeof(be64));
  }
  void range(const char* name, const PhysRange& range) {
    numbers(name, {range.address.value, range.bytes});
  }
  void ranges(const char* name, const FrameSet& set) {
    std::vector<std::uint64_t> values;
    for (FrameRange range : set.ranges()) {
      values.push_back(address_of(range.begin).value);
      values.push_back(range.bytes());
    }
    numbers(name, values);
  }
  Result<std::vector<std::byte>> finish() {
    note(fdt_finish(buffer_.data()));
    if (error_ != 0)
      return fail(ErrorCode::kUnsupported,
                  fmt::format("writing the dump node: {}", fdt_strerror(error_)));
    buffer_.resize(fdt_totalsize(buffer_.data()));
    return std::move(buffer_);
  }

 private:
  void note(int result) {
    if (error_ == 0) error_ = result;
  }
  std::vector<std::byte> buffer_;
  int error_ = 0;
};

void write_properties(TreeWriter& tree, const DumpNode& node) {
  tree.text("compatible", HADUMP_NODE_COMPATIBLE);
  tree.property(HADUMP_PROP_MARKER, nullptr, 0);
  const std::vector<std::byte> rtas = rtas_structure(node);
  tree.property(HADUMP_PROP_RTAS, rtas.data(), rtas.size());
  tree.number32(HADUMP_PROP_VERSION, HADUMP_ABI_VERSION);
  tree.property(HADUMP_PROP_DUMP_ID, node.dump_id.data(), node.dump_id.size());
  tree.text(HADUMP_PROP_MODE, to_string(node.mode));
  std::vector<std::uint64_t> triples;
  for (const BootRegion& region : node.boot_regions)
    for (std::uint64_t value :
         {address_of(region.range.begin).value, region.range.bytes(), region.copy.value})
      triples.push_back(value);
  tree.numbers(HADUMP_PROP_BOOT_REGIONS, triples);
  tree.range(HADUMP_PROP_SAVE_AREA, {address_of(node.save_area.begin), node.save_area.bytes()});
  tree.ranges(HADUMP_PROP_HELD, node.held);
  if (!node.holes.empty()) tree.ranges(HADUMP_PROP_HOLES, node.holes);
  if (!node.released.empty()) tree.ranges(HADUMP_PROP_RELEASED, node.released);
  tree.range(HADUMP_PROP_BLOCKS, node.block_table);
  tree.range(HADUMP_PROP_ELFCOREHDR, node.elf_header);
  tree.range(HADUMP_PROP_CPU, node.cpu_state);
  tree.range(HADUMP_PROP_HPTE, node.hpte);
  tree.numbers(HADUMP_PROP_CRASH_TIME, {node.crash_time});
  tree.number32(HADUMP_PROP_BOOTS, node.boots);
}

}  // namespace

std::string to_hex(const DumpId& id) {
  std::string text;
  for (std::uint8_t byte : id) text += fmt::format("{:02x}", byte);
  return text;
}

std::string_view to_string(SaveMode mode) {
  return mode == SaveMode::kAdded ? "added" : "registered";
}

Result<SaveMode> parse_save_mode(std::string_view text) {
  if (text == "added") return SaveMode::kAdded;
  if (text == "registered") return SaveMode::kRegistered;
  return fail(ErrorCode::kBadData, fmt::format("'{}' is neither 'added' nor 'registered'", text));
}

Result<std::vector<std::byte>> encode_dump_node(const DumpNode& node) {
  for (const FrameSet* set : {&node.held, &node.holes, &node.released})
    if (set->ranges().size() > HADUMP_MAX_RANGES)
      return fail(ErrorCode::kUnsupported, "too many separate ranges for a dump node");
  TreeWriter tree;
  tree.begin("");
  tree.number32("#address-cells", 2);
  tree.number32("#size-cells", 2);
  tree.begin(HADUMP_NODE_NAME);
  write_properties(tree, node);
  tree.end();
  tree.end();
  return tree.finish();
}

}  // namespace hadump
