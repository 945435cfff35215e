// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "core/vmcore/flattened_file.h"
#include "core/vmcore/open.h"
#include "core/vmcore/source.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/core/vmcore/elf_builder.h"
#include "tests/unit/core/vmcore/kdump_builder.h"
#include "tests/unit/core/vmcore/xen_core_builder.h"

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
  XenCoreBuilder pv({0x10, ~std::uint64_t{0}, 0x12});
  pv.mfns = {0x10, ~std::uint64_t{0}, 0x12};
  return {plain.build(), overlapping.build(), cut, XenCoreBuilder({0x10, 0x11, 0x80}).build(),
          pv.build()};
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

/// A flattened file is what its records say, whichever part of it is read.
void read_flattened(std::span<const std::byte> input) {
  auto flat = FlattenedFile::open(
      std::make_unique<MemoryFile>(std::vector<std::byte>(input.begin(), input.end())));
  if (!flat) return;
  const FlattenedFile& file = **flat;
  std::vector<std::byte> part(kFrameSize);
  std::size_t tried = 0;
  for (std::uint64_t at = 0; (at = file.next_data(at)) < file.size() && tried < kMaxTriedRanges;
       ++tried) {
    const auto bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(part.size(), file.size() - at));
    const auto read = std::span(part).first(bytes);
    fuzz_require(file.read_at(read, at).has_value(), "what is inside can be read");
    std::byte first{};
    fuzz_require(file.read_at({&first, 1}, at).has_value() && first == read[0],
                 "a byte is the same in every read");
    at += bytes;
  }
  std::byte none{};
  fuzz_require(!file.read_at({&none, 1}, file.size()), "nothing is past the end");
}

std::vector<std::vector<std::byte>> flattened_seeds() {
  ElfBuilder elf;
  elf.add_load(0x1000, 2, 1);
  std::vector<std::byte> overlapping = flatten(elf.build(), 1000);
  const std::vector<std::byte> again = flatten(elf.build(), 700);
  overlapping.resize(overlapping.size() - 16);
  overlapping.insert(overlapping.end(), again.begin() + 4096, again.end());
  return {flatten(elf.build(), 4096), flatten(elf.build(), 24), overlapping};
}

}  // namespace

const FuzzTarget kFuzzFlattened = {"flattened", read_flattened, flattened_seeds};
const FuzzTarget kFuzzElf = {"elf", read_dump, elf_seeds};
const FuzzTarget kFuzzKdump = {"kdump", read_dump, kdump_seeds};

}  // namespace hadump
