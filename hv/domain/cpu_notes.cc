// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/cpu_notes.h"

#include <elf.h>
#include <sys/procfs.h>

#include <cstring>

#include "hv/domain/vmcoreinfo.h"

namespace hadump {
namespace {

static_assert(sizeof(elf_prstatus) == 336);
static_assert(sizeof(elf_gregset_t) == sizeof(hadump_vcpu::gregs));

ElfNote prstatus_of(const hadump_vcpu& vcpu) {
  elf_prstatus status{};
  status.pr_pid = static_cast<pid_t>(vcpu.id + 1);
  std::memcpy(&status.pr_reg, vcpu.gregs, sizeof(vcpu.gregs));
  const auto bytes = std::as_bytes(std::span(&status, 1));
  return {"CORE", kNotePrstatus, {bytes.begin(), bytes.end()}};
}

}  // namespace

std::vector<ElfNote> notes_of(std::span<const hadump_vcpu> vcpus,
                              std::span<const std::byte> vmcoreinfo_note) {
  std::vector<ElfNote> notes;
  for (const hadump_vcpu& vcpu : vcpus) notes.push_back(prstatus_of(vcpu));
  const auto text = text_of_vmcoreinfo_note(vmcoreinfo_note);
  if (!text.empty()) notes.push_back({"VMCOREINFO", 0, {text.begin(), text.end()}});
  return notes;
}

}  // namespace hadump
