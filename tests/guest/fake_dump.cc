// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/guest/fake_dump.h"

#include <elf.h>
#include <libfdt.h>

#include <array>
#include <cstring>

#include "core/abi/hadump_abi.h"
#include "core/base/elf_header.h"

namespace hadump {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::array<std::uint8_t, 16> kDumpId{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                               0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
constexpr std::uint64_t kDirectMap = 0xffff888000000000;

/// Big-endian bytes, one value behind the other.
class BigEndian {
 public:
  template <class T>
  BigEndian& add(T value) {
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8)
      bytes_.push_back(static_cast<char>(value >> shift & 0xff));
    return *this;
  }
  const std::vector<char>& bytes() const { return bytes_; }

 private:
  std::vector<char> bytes_;
};

void put(void* tree, int node, const char* name, const BigEndian& value) {
  fdt_setprop(tree, node, name, value.bytes().data(), static_cast<int>(value.bytes().size()));
}

BigEndian pairs(const std::vector<ByteRange>& ranges) {
  BigEndian value;
  for (const ByteRange& r : ranges) value.add(r.begin).add(r.bytes());
  return value;
}

BigEndian pair(std::uint64_t address, std::uint64_t length) {
  return BigEndian().add(address).add(length);
}

BigEndian boot_regions(const FakeDump& dump) {
  BigEndian value;
  std::uint64_t copy = dump.save_area.begin + FakeLayout{}.low;
  for (const ByteRange& r : dump.boot_regions) {
    value.add(r.begin).add(r.bytes()).add(copy);
    copy += r.bytes();
  }
  return value;
}

void add_section(BigEndian& value, std::uint16_t type, std::uint64_t source, std::uint64_t length,
                 std::uint64_t destination) {
  value.add(std::uint32_t{HADUMP_RTAS_REQUEST_FLAG}).add(type).add(std::uint16_t{0});
  value.add(source).add(length).add(length).add(destination);
}

BigEndian rtas(const FakeDump& dump) {
  BigEndian value;
  value.add(std::uint32_t{HADUMP_RTAS_FORMAT_VERSION});
  value.add(static_cast<std::uint16_t>(dump.boot_regions.size() + 2));
  value.add(std::uint16_t{HADUMP_RTAS_STATUS_PERFORMED}).add(std::uint32_t{40});
  value.add(std::uint32_t{0}).add(std::uint64_t{0}).add(std::uint64_t{0});
  value.add(std::uint32_t{0}).add(std::uint32_t{0});
  add_section(value, HADUMP_RTAS_CPU, 0, 0x1000, dump.save_area.begin + FakeLayout{}.cpu);
  add_section(value, HADUMP_RTAS_HPTE, 0, 0x1000, dump.save_area.begin + FakeLayout{}.hpte);
  std::uint64_t copy = dump.save_area.begin + FakeLayout{}.low;
  for (const ByteRange& r : dump.boot_regions) {
    add_section(value, HADUMP_RTAS_RMR, r.begin, r.bytes(), copy);
    copy += r.bytes();
  }
  return value;
}

int dump_node(const void* tree) {
  return fdt_path_offset(tree, "/" HADUMP_NODE_NAME);
}

/// Old memory as the ELF header lists it: original address, and where the bytes are now.
struct Load {
  ByteRange original;
  std::uint64_t now;
};

std::vector<Load> loads(const FakeDump& dump) {
  std::vector<Load> result;
  std::uint64_t copy = dump.save_area.begin + FakeLayout{}.low;
  for (const ByteRange& r : dump.boot_regions) {
    result.push_back({r, copy});
    copy += r.bytes();
  }
  for (ByteRange r : dump.held) {
    for (const ByteRange& hole : dump.holes) {
      if (hole.begin < r.begin || hole.begin >= r.end) continue;
      if (hole.begin > r.begin) result.push_back({{r.begin, hole.begin}, r.begin});
      r.begin = hole.end;
    }
    if (r.begin < r.end) result.push_back({r, r.begin});
  }
  return result;
}

/// One empty note is enough: /proc/vmcore wants a PT_NOTE.
void write_elf(const FakeDump& dump, std::byte* at) {
  const std::vector<Load> list = loads(dump);
  const Elf64_Ehdr header = make_elf_header(ET_CORE, list.size() + 1);
  std::memcpy(at, &header, sizeof(header));

  std::byte* next = at + sizeof(header);
  const std::uint64_t note = 0x8000;  // after the headers; both inside the ELF section
  Elf64_Phdr program{};
  program.p_type = PT_NOTE;
  program.p_offset = dump.save_area.begin + FakeLayout{}.elfcorehdr + note;
  program.p_filesz = program.p_memsz = sizeof(Elf64_Nhdr) + 8 + 336;
  std::memcpy(next, &program, sizeof(program));
  const Elf64_Nhdr prstatus{5, 336, NT_PRSTATUS};
  std::memcpy(at + note, &prstatus, sizeof(prstatus));
  std::memcpy(at + note + sizeof(prstatus), "CORE", 5);

  for (const Load& load : list) {
    next += sizeof(program);
    program = {};
    program.p_type = PT_LOAD;
    program.p_flags = PF_R | PF_W | PF_X;
    program.p_offset = load.now;
    program.p_paddr = load.original.begin;
    program.p_vaddr = kDirectMap + load.original.begin;
    program.p_filesz = program.p_memsz = load.original.bytes();
    std::memcpy(next, &program, sizeof(program));
  }
}

}  // namespace

std::vector<std::byte> build_tree(const FakeDump& dump) {
  const std::size_t ranges = dump.held.size() + dump.holes.size() + dump.released.size();
  const int tree_size = static_cast<int>((32U << 10) + 16 * ranges);
  std::vector<std::byte> bytes(static_cast<std::size_t>(tree_size));
  void* tree = bytes.data();
  fdt_create_empty_tree(tree, tree_size);
  fdt_setprop_u32(tree, 0, "#address-cells", 2);
  fdt_setprop_u32(tree, 0, "#size-cells", 2);
  const int node = fdt_add_subnode(tree, 0, HADUMP_NODE_NAME);
  const std::uint64_t save = dump.save_area.begin;
  const FakeLayout at;

  // libfdt puts a new property first, so later offsets stay good only for this node.
  fdt_setprop_u32(tree, node, HADUMP_PROP_BOOTS, dump.boots);
  fdt_setprop_u64(tree, node, HADUMP_PROP_CRASH_TIME, 1700000000);
  put(tree, node, HADUMP_PROP_HPTE, pair(save + at.hpte, 24));
  put(tree, node, HADUMP_PROP_CPU, pair(save + at.cpu, 0x123));
  put(tree, node, HADUMP_PROP_ELFCOREHDR, pair(save + at.elfcorehdr, 0x9000));
  put(tree, node, HADUMP_PROP_BLOCKS, pair(save + at.blocks, 0x1000));
  if (!dump.released.empty()) put(tree, node, HADUMP_PROP_RELEASED, pairs(dump.released));
  if (!dump.holes.empty()) put(tree, node, HADUMP_PROP_HOLES, pairs(dump.holes));
  put(tree, node, HADUMP_PROP_HELD, pairs(dump.held));
  put(tree, node, HADUMP_PROP_SAVE_AREA, pair(save, dump.save_area.bytes()));
  put(tree, node, HADUMP_PROP_BOOT_REGIONS, boot_regions(dump));
  fdt_setprop(tree, node, HADUMP_PROP_MODE, dump.mode.c_str(),
              static_cast<int>(dump.mode.size() + 1));
  fdt_setprop(tree, node, HADUMP_PROP_DUMP_ID, kDumpId.data(), static_cast<int>(kDumpId.size()));
  fdt_setprop_u32(tree, node, HADUMP_PROP_VERSION, HADUMP_ABI_VERSION);
  put(tree, node, HADUMP_PROP_RTAS, rtas(dump));
  fdt_setprop(tree, node, HADUMP_PROP_MARKER, nullptr, 0);
  fdt_setprop(tree, node, "compatible", HADUMP_NODE_COMPATIBLE, sizeof(HADUMP_NODE_COMPATIBLE));

  fdt_pack(tree);
  const std::size_t room = static_cast<std::size_t>(fdt_totalsize(tree)) + kPage;
  bytes.resize(room);
  fdt_open_into(bytes.data(), bytes.data(), static_cast<int>(room));
  return bytes;
}

bool set_property(std::vector<std::byte>& tree, const std::string& name,
                  const std::vector<std::byte>& value) {
  return fdt_setprop(tree.data(), dump_node(tree.data()), name.c_str(), value.data(),
                     static_cast<int>(value.size())) == 0;
}

bool drop_property(std::vector<std::byte>& tree, const std::string& name) {
  return fdt_delprop(tree.data(), dump_node(tree.data()), name.c_str()) == 0;
}

std::vector<std::byte> build_save_area(const FakeDump& dump, const std::vector<std::byte>& tree) {
  const FakeLayout at;
  std::uint64_t low_bytes = 0;
  for (const ByteRange& r : dump.boot_regions) low_bytes += r.bytes();
  std::vector<std::byte> area(at.low + low_bytes);

  hadump_save_header header{};
  header.magic = HADUMP_SAVE_MAGIC;
  header.version = HADUMP_ABI_VERSION;
  header.header_size = sizeof(header);
  header.length = dump.save_area.bytes();
  std::memcpy(header.dump_id, kDumpId.data(), kDumpId.size());
  header.boots = dump.boots;
  if (dump.complete) header.complete = HADUMP_SNAPSHOT_COMPLETE;
  std::memcpy(area.data(), &header, sizeof(header));
  std::memcpy(area.data() + at.node, tree.data(), tree.size());
  write_elf(dump, area.data() + at.elfcorehdr);

  std::byte* page = area.data() + at.low;
  for (const ByteRange& r : dump.boot_regions)
    for (std::uint64_t address = r.begin; address < r.end; address += kPage, page += kPage)
      stamp_page(page, address);
  return area;
}

void stamp_page(std::byte* page, std::uint64_t address) {
  for (std::size_t i = 0; i < kPage; i += sizeof(address)) {
    const std::uint64_t word = address + i;
    std::memcpy(page + i, &word, sizeof(word));
  }
}

}  // namespace hadump
