// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/rehearsal.h"

#include "hv/domain/guest_kind.h"
#include "hv/rescue/boot_image.h"
#include "hv/rescue/window_plan.h"

namespace hadump {

Result<> rehearse_boot(BootFiles& files, const DomainConfig& config, const WindowWish& wish) {
  auto kernel_bytes = files.kernel();
  if (!kernel_bytes) return fail(std::move(kernel_bytes), "the kernel");
  auto ramdisk = files.ramdisk();
  if (!ramdisk) return fail(std::move(ramdisk), "the initrd");
  auto acpi = files.acpi_tables();
  if (!acpi) return fail(std::move(acpi), "the ACPI tables");
  auto rsdp = check_acpi_tables(*acpi);
  if (!rsdp) return fail(std::move(rsdp), "the ACPI tables");
  auto kernel = parse_kernel(*kernel_bytes);
  if (!kernel) return fail(std::move(kernel), "the kernel");

  auto ram = ram_of(config);
  if (!ram) return fail(std::move(ram));
  auto plan = plan_window(*ram, wish.bytes);
  if (!plan) return fail(std::move(plan));
  const GuestPhys save_area = address_of(added_save_area_start(*ram));
  auto image =
      plan_boot({.window = plan->boot_regions.front(),
                 .kernel = kernel->extent(),
                 .initrd_bytes = ramdisk->size(),
                 .cmdline = window_cmdline(config.cmdline, {wish.bytes, config.memory_bytes},
                                           wish.cmdline, save_area, save_area),
                 .memory_map = window_memory_map(*config.kind, plan->boot_frames(), plan->held,
                                                 acpi->frames()),
                 .rsdp = *rsdp});
  if (!image) return fail(std::move(image), "planning the boot");
  return {};
}

}  // namespace hadump
