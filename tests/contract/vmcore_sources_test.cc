// SPDX-License-Identifier: GPL-2.0-or-later
// The sources of core keep one contract; tests/unit/hv/domain runs it on a domain's memory.
#include <gtest/gtest.h>

#include "core/save/merged_vmcore.h"
#include "core/vmcore/elf_source.h"
#include "core/vmcore/kdump_source.h"
#include "tests/contract/vmcore_source_contract.h"
#include "tests/fakes/in_memory_vmcore.h"
#include "tests/unit/core/vmcore/elf_builder.h"
#include "tests/unit/core/vmcore/kdump_builder.h"

namespace hadump {
namespace {

std::unique_ptr<InMemoryVmcore> in_memory() {
  auto source = std::make_unique<InMemoryVmcore>(FrameSet{kContractFrames});
  for (Gfn gfn = kContractFrames.begin; gfn < kContractFrames.end; ++gfn.value)
    source->fill(gfn, contract_fill(gfn));
  return source;
}

std::unique_ptr<VmcoreSource> in_an_elf_file() {
  ElfBuilder file;
  file.add_load(address_of(kContractFrames.begin).value, kContractFrames.frames(),
                std::to_integer<unsigned>(contract_fill(kContractFrames.begin)));
  return std::move(*ElfVmcoreSource::open(file.file()));
}

std::unique_ptr<VmcoreSource> in_a_kdump_file() {
  KdumpBuilder file(64);
  for (Gfn gfn = kContractFrames.begin; gfn < kContractFrames.end; ++gfn.value)
    file.add_page(gfn.value, std::to_integer<unsigned>(contract_fill(gfn)),
                  gfn.value % 2 == 0 ? kKdumpZlib : 0);
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<MemoryFile>(file.build()));
  return std::move(*KdumpVmcoreSource::open(std::move(files)));
}

TEST(VmcoreSourceContract, InMemory) {
  check_vmcore_source_contract(*in_memory());
}

TEST(VmcoreSourceContract, ElfFile) {
  check_vmcore_source_contract(*in_an_elf_file());
}

TEST(VmcoreSourceContract, KdumpFile) {
  check_vmcore_source_contract(*in_a_kdump_file());
}

TEST(VmcoreSourceContract, Merged) {
  const Gfn middle{kContractFrames.begin.value + 3};
  std::vector<MergedVmcore::Part> parts;
  parts.push_back({in_memory(), {{kContractFrames.begin, middle}}});
  parts.push_back({in_an_elf_file(), {kContractFrames}});
  const MergedVmcore merged(std::move(parts));
  // Segments come from both parts, the same frames twice.
  check_vmcore_source_contract(merged);
}

}  // namespace
}  // namespace hadump
