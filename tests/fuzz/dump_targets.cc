// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/source.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/core/vmcore/elf_builder.h"
#include "tests/unit/core/vmcore/kdump_builder.h"

namespace hadump {
namespace {

constexpr std::size_t kFrames = 8;
constexpr std::size_t kMaxTriedRanges = 64;

/// Opens the input as a dump and reads at the ends of its ranges.
void read_dump(std::span<const std::byte> input) {
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<MemoryFile>(std::vector<std::byte>(input.begin(), input.end())));
  const auto source = open_vmcore(std::move(files));
  if (!source) return;
  std::vector<std::byte> out(kFrames * kFrameSize);
  std::vector<FrameStatus> status(kFrames);
  std::size_t tried = 0;
  for (FrameRange range : (*source)->layout().frames.ranges()) {
    if (++tried > kMaxTriedRanges) break;
    for (const std::uint64_t first : {range.begin.value, range.end.value - 1}) {
      fuzz_require((*source)->read(Gfn{first}, out, status).has_value(), "a batch runs");
      const auto view = (*source)->map({Gfn{first}, Gfn{first + kFrames}});
      if (view)
        fuzz_require(view->range().begin == Gfn{first} && !view->range().empty(),
                     "a view is a prefix");
    }
  }
  static_cast<void>(cpu_notes((*source)->layout()));
  static_cast<void>(vmcoreinfo_text((*source)->layout()));
}

std::vector<std::vector<std::byte>> elf_seeds() {
  ElfBuilder plain;
  plain.add_notes(encode_note("CORE", 1, "registers")).add_load(0x1000, 2, 1);
  ElfBuilder overlapping;
  overlapping.add_notes(encode_note("VMCOREINFO", 0, "OSRELEASE=6.1\n"));
  overlapping.add_load(0x1000, 3, 1).add_load(0x2000, 1, 2).add_load(0x5800, 1, 3);
  ElfBuilder truncated;
  truncated.add_load(0x0, 4, 1);
  auto cut = truncated.build();
  cut.resize(cut.size() - 5000);
  return {plain.build(), overlapping.build(), cut};
}

std::vector<std::vector<std::byte>> kdump_seeds() {
  KdumpBuilder dump(40000);
  dump.add_page(1, 1).add_page(2, 2, kKdumpZlib).add_page(3, 3, kKdumpLzo);
  dump.add_page(4, 4, kKdumpSnappy).add_page(5, 5, kKdumpZstd).add_left_out(6);
  dump.add_descriptor(7, {}).add_page(39999, 8);
  dump.set_notes(encode_note("VMCOREINFO", 0, "OSRELEASE=6.1\n"));
  KdumpBuilder part = dump;
  part.sub_header.split = 1;
  part.sub_header.start_pfn_64 = 3;
  ElfBuilder elf;
  elf.add_load(0x1000, 2, 1);
  return {dump.build(), part.build(), flatten(dump.build(), 4096), flatten(elf.build(), 100)};
}

}  // namespace

const FuzzTarget kFuzzElf = {"elf", read_dump, elf_seeds};
const FuzzTarget kFuzzKdump = {"kdump", read_dump, kdump_seeds};

}  // namespace hadump
