// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/hvm_context.h"

#include <fmt/format.h>

#include <cstring>

namespace hadump {
namespace {

// Positions in elf_gregset_t (sys/user.h, struct user_regs_struct).
enum Greg : unsigned {
  kR15,
  kR14,
  kR13,
  kR12,
  kRbp,
  kRbx,
  kR11,
  kR10,
  kR9,
  kR8,
  kRax,
  kRcx,
  kRdx,
  kRsi,
  kRdi,
  kOrigRax,
  kRip,
  kCs,
  kRflags,
  kRsp,
  kSs,
  kFsBase,
  kGsBase,
  kDs,
  kEs,
  kFs,
  kGs
};

// Local APIC registers, by offset (Intel SDM volume 3, table 10-1).
constexpr unsigned kApicId = 0x20;
constexpr unsigned kApicVersion = 0x30;
constexpr unsigned kApicDestinationFormat = 0xe0;
constexpr unsigned kApicSpurious = 0xf0;
constexpr unsigned kApicFirstLvt = 0x320;
constexpr unsigned kApicLastLvt = 0x370;
constexpr std::uint32_t kApicMasked = 0x10000;
constexpr std::uint64_t kApicBase = 0xfee00000;
constexpr std::uint64_t kApicBaseEnabled = 0x800;
constexpr std::uint64_t kApicBaseBootCpu = 0x100;
constexpr std::uint32_t kApicSoftwareDisabled = 2;  // Xen's VLAPIC_SW_DISABLED
constexpr unsigned kApicDividerReset = 2;           // a divide configuration of 0

constexpr std::uint64_t kMtrrWriteBack = 6;
constexpr std::uint64_t kMtrrEnabled = 1U << 11;

template <typename T>
bool load_record(std::span<const std::byte> context, unsigned type, unsigned instance, T& out) {
  const auto bytes = find_hvm_record(context, type, instance);
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&out, bytes.data(), sizeof(T));
  return true;
}

void append(std::vector<std::byte>& out, const void* data, std::size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  out.insert(out.end(), from, from + bytes);
}

void append_record(std::vector<std::byte>& out, unsigned type, unsigned instance, const void* data,
                   std::size_t bytes) {
  hvm_save_descriptor descriptor{};
  descriptor.typecode = static_cast<std::uint16_t>(type);
  descriptor.instance = static_cast<std::uint16_t>(instance);
  descriptor.length = static_cast<std::uint32_t>(bytes);
  append(out, &descriptor, sizeof(descriptor));
  append(out, data, bytes);
}

hvm_hw_lapic_regs reset_apic_registers(unsigned vcpu, const hvm_hw_lapic_regs& old) {
  hvm_hw_lapic_regs registers{};
  const auto set = [&registers](unsigned offset, std::uint32_t value) {
    std::memcpy(registers.data + offset, &value, sizeof(value));
  };
  // The version says how many LVT entries there are; it is hardware's, not the guest's.
  std::memcpy(registers.data + kApicVersion, old.data + kApicVersion, sizeof(std::uint32_t));
  set(kApicId, (vcpu * 2) << 24);  // as Xen numbers them and the MADT lists them
  set(kApicDestinationFormat, ~0U);
  set(kApicSpurious, 0xff);
  for (unsigned lvt = kApicFirstLvt; lvt <= kApicLastLvt; lvt += 0x10) set(lvt, kApicMasked);
  return registers;
}

// docs/misc/pvh.pandoc: flat 32-bit segments, paging off, ebx = start info. Attribute bytes as Xen
// itself sets them (tools/libs/guest/xg_dom_x86.c, vcpu_hvm).
hvm_hw_cpu boot_cpu(const hvm_hw_cpu& old, GuestPhys entry, GuestPhys start_info) {
  hvm_hw_cpu cpu{};
  cpu.cs_limit = cpu.ds_limit = cpu.es_limit = cpu.ss_limit = ~0U;
  cpu.tr_limit = 0x67;
  cpu.cs_arbytes = 0xc9b;
  cpu.ds_arbytes = cpu.es_arbytes = cpu.ss_arbytes = 0xc93;
  cpu.tr_arbytes = 0x8b;
  cpu.cr0 = 0x11;  // PE and ET
  cpu.rip = entry.value;
  cpu.rbx = start_info.value;
  cpu.rflags = 2;  // the bit that is always set
  cpu.dr6 = 0xffff0ff0;
  cpu.dr7 = 0x400;
  cpu.tsc = old.tsc;  // time goes on
  return cpu;
}

}  // namespace

std::span<const std::byte> find_hvm_record(std::span<const std::byte> context, unsigned type,
                                           unsigned instance) {
  hvm_save_descriptor descriptor;
  while (context.size() >= sizeof(descriptor)) {
    std::memcpy(&descriptor, context.data(), sizeof(descriptor));
    context = context.subspan(sizeof(descriptor));
    if (descriptor.length > context.size() || descriptor.typecode == HVM_SAVE_CODE(END)) return {};
    if (descriptor.typecode == type && descriptor.instance == instance)
      return context.first(descriptor.length);
    context = context.subspan(descriptor.length);
  }
  return {};
}

hadump_vcpu vcpu_from_record(unsigned id, const hvm_hw_cpu& cpu) {
  hadump_vcpu vcpu{};
  vcpu.id = id;
  vcpu.flags = HADUMP_VCPU_FROM_RECORD;
  const std::pair<Greg, std::uint64_t> values[] = {
      {kR15, cpu.r15},   {kR14, cpu.r14},        {kR13, cpu.r13},        {kR12, cpu.r12},
      {kRbp, cpu.rbp},   {kRbx, cpu.rbx},        {kR11, cpu.r11},        {kR10, cpu.r10},
      {kR9, cpu.r9},     {kR8, cpu.r8},          {kRax, cpu.rax},        {kRcx, cpu.rcx},
      {kRdx, cpu.rdx},   {kRsi, cpu.rsi},        {kRdi, cpu.rdi},        {kOrigRax, ~0ULL},
      {kRip, cpu.rip},   {kCs, cpu.cs_sel},      {kRflags, cpu.rflags},  {kRsp, cpu.rsp},
      {kSs, cpu.ss_sel}, {kFsBase, cpu.fs_base}, {kGsBase, cpu.gs_base}, {kDs, cpu.ds_sel},
      {kEs, cpu.es_sel}, {kFs, cpu.fs_sel},      {kGs, cpu.gs_sel}};
  for (const auto& [index, value] : values) vcpu.gregs[index] = value;
  vcpu.cr0 = cpu.cr0;
  vcpu.cr2 = cpu.cr2;
  vcpu.cr3 = cpu.cr3;
  vcpu.cr4 = cpu.cr4;
  vcpu.efer = cpu.msr_efer;
  vcpu.kernel_gs_base = cpu.shadow_gs;
  return vcpu;
}

hadump_vcpu vcpu_from_context(unsigned id, const vcpu_guest_context_x86_64_t& context) {
  const auto& regs = context.user_regs;
  hadump_vcpu vcpu{};
  vcpu.id = id;
  const std::pair<Greg, std::uint64_t> values[] = {{kR15, regs.r15},
                                                   {kR14, regs.r14},
                                                   {kR13, regs.r13},
                                                   {kR12, regs.r12},
                                                   {kRbp, regs.rbp},
                                                   {kRbx, regs.rbx},
                                                   {kR11, regs.r11},
                                                   {kR10, regs.r10},
                                                   {kR9, regs.r9},
                                                   {kR8, regs.r8},
                                                   {kRax, regs.rax},
                                                   {kRcx, regs.rcx},
                                                   {kRdx, regs.rdx},
                                                   {kRsi, regs.rsi},
                                                   {kRdi, regs.rdi},
                                                   {kOrigRax, ~0ULL},
                                                   {kRip, regs.rip},
                                                   {kCs, regs.cs},
                                                   {kRflags, regs.rflags},
                                                   {kRsp, regs.rsp},
                                                   {kSs, regs.ss},
                                                   {kFsBase, context.fs_base},
                                                   {kGsBase, context.gs_base_kernel},
                                                   {kDs, regs.ds},
                                                   {kEs, regs.es},
                                                   {kFs, regs.fs},
                                                   {kGs, regs.gs}};
  for (const auto& [index, value] : values) vcpu.gregs[index] = value;
  vcpu.cr0 = context.ctrlreg[0];
  vcpu.cr2 = context.ctrlreg[2];
  vcpu.cr3 = context.ctrlreg[3];
  vcpu.cr4 = context.ctrlreg[4];
  vcpu.kernel_gs_base = context.gs_base_user;
  return vcpu;
}

hadump_vcpu vcpu_never_started(unsigned id) {
  hadump_vcpu vcpu{};
  vcpu.id = id;
  return vcpu;
}

Result<std::vector<std::byte>> make_boot_context(std::span<const std::byte> old, unsigned vcpus,
                                                 GuestPhys entry, GuestPhys start_info) {
  const auto header = find_hvm_record(old, HVM_SAVE_CODE(HEADER), 0);
  if (header.empty()) return fail(ErrorCode::kBadData, "an HVM context without a header");
  std::vector<std::byte> out;
  append_record(out, HVM_SAVE_CODE(HEADER), 0, header.data(), header.size());
  for (unsigned vcpu = 0; vcpu < vcpus; ++vcpu) {
    hvm_hw_lapic apic;
    hvm_hw_lapic_regs registers;
    hvm_hw_mtrr mtrr;
    if (!load_record(old, HVM_SAVE_CODE(LAPIC), vcpu, apic) ||
        !load_record(old, HVM_SAVE_CODE(LAPIC_REGS), vcpu, registers) ||
        !load_record(old, HVM_SAVE_CODE(MTRR), vcpu, mtrr))
      return fail(ErrorCode::kBadData,
                  fmt::format("an HVM context without vCPU {}'s records", vcpu));
    apic = {};
    apic.apic_base_msr = kApicBase | kApicBaseEnabled | (vcpu == 0 ? kApicBaseBootCpu : 0);
    apic.disabled = kApicSoftwareDisabled;
    apic.timer_divisor = kApicDividerReset;
    registers = reset_apic_registers(vcpu, registers);
    mtrr.msr_mtrr_def_type = kMtrrWriteBack | kMtrrEnabled;
    append_record(out, HVM_SAVE_CODE(LAPIC), vcpu, &apic, sizeof(apic));
    append_record(out, HVM_SAVE_CODE(LAPIC_REGS), vcpu, &registers, sizeof(registers));
    append_record(out, HVM_SAVE_CODE(MTRR), vcpu, &mtrr, sizeof(mtrr));
  }
  hvm_hw_cpu first{};  // stays zero when vCPU 0 was down; then the guest's clock starts anew
  static_cast<void>(load_record(old, HVM_SAVE_CODE(CPU), 0, first));
  const hvm_hw_cpu cpu = boot_cpu(first, entry, start_info);
  append_record(out, HVM_SAVE_CODE(CPU), 0, &cpu, sizeof(cpu));
  append_record(out, HVM_SAVE_CODE(END), 0, nullptr, 0);
  return out;
}

}  // namespace hadump
