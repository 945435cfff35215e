// SPDX-License-Identifier: GPL-2.0-or-later
// take-registers DOMID
//
// Prints the general registers of every vCPU of a paused or crashed domain as JSON, straight from
// Xen, in the order of elf_prstatus: what the CPU notes of a dump must say. A vCPU that was never
// brought up is null.

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
#include <xenctrl.h>
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: take-registers DOMID\n");
    return 2;
  }
  const auto domid = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
  xc_interface* const xen = xc_interface_open(nullptr, nullptr, 0);
  xc_dominfo_t info{};
  if (xen == nullptr || xc_domain_getinfo(xen, domid, 1, &info) != 1 || info.domid != domid) {
    std::fprintf(stderr, "take-registers: domain %s: %s\n", argv[1], std::strerror(errno));
    return 2;
  }
  std::printf("[");
  for (std::uint32_t vcpu = 0; vcpu <= info.max_vcpu_id; ++vcpu) {
    std::printf("%s", vcpu == 0 ? "" : ",\n ");
    vcpu_guest_context_any_t context{};
    if (xc_vcpu_getcontext(xen, domid, vcpu, &context) != 0) {
      std::printf("null");
      continue;
    }
    const auto& r = context.x64.user_regs;
    const std::array<std::uint64_t, 18> values{r.r15, r.r14, r.r13, r.r12, r.rbp,    r.rbx,
                                               r.r11, r.r10, r.r9,  r.r8,  r.rax,    r.rcx,
                                               r.rdx, r.rsi, r.rdi, r.rip, r.rflags, r.rsp};
    for (std::size_t i = 0; i < values.size(); ++i)
      std::printf("%s%" PRIu64, i == 0 ? "[" : ", ", values.at(i));
    std::printf("]");
  }
  std::printf("]\n");
  static_cast<void>(xc_interface_close(xen));
  return 0;
}
