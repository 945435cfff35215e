// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's parsers: what a guest writes, and what a host's admin may have mistaken for a kernel.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "hv/domain/page_offset.h"
#include "hv/domain/pvh_guest.h"
#include "hv/domain/vmcoreinfo.h"
#include "hv/rescue/acpi_tables.h"
#include "hv/rescue/kernel_image.h"
#include "hv/rescue/registration.h"
#include "tests/fakes/boot_file_samples.h"
#include "tests/fakes/in_memory_guest.h"
#include "tests/fuzz/targets.h"

namespace hadump {
namespace {

struct Layout {
  FrameSet ram = *pvh_ram(1_GiB);
  WindowPlan plan = *plan_window(ram, 256_MiB);
  std::uint64_t reserve = save_area_reserve(ram, plan, 2);
};

bool printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void read_xenstore(std::span<const std::byte> input) {
  static const Layout layout;
  GuestKeys keys;
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (const std::size_t equals = line.find('='); equals != std::string_view::npos)
      keys.insert_or_assign(std::string(line.substr(0, equals)),
                            std::string(line.substr(equals + 1)));
  }
  const auto found = check_registration(keys, layout.ram, layout.plan, layout.reserve);
  if (found && found->mode == SaveMode::kRegistered)
    fuzz_require(
        layout.plan.held.contains(found->save_area) && found->save_area.bytes() >= layout.reserve,
        "a save area is above the window and long enough");
  if (found && found->vmcoreinfo)
    fuzz_require(layout.ram.contains(frame_of(found->vmcoreinfo->address)), "a note is in RAM");
  if (!found)
    fuzz_require(printable(found.error().what()), "what goes to a log has nothing of the guest's");
  const GuestProgress progress = check_progress(keys, layout.ram);
  fuzz_require(printable(progress.text) && printable(progress.dump_id), "progress is printable");
  fuzz_require(progress.held_bytes.value_or(0) <= layout.ram.bytes(), "no more than RAM is held");
}

std::vector<std::vector<std::byte>> xenstore_seeds() {
  return {bytes_of_text("version=1\nvmcoreinfo=0x3fe01000 0x1000\npage-offset=0xffff9a4000000000\n"
                        "mode=registered\nsave-area=0x20000000 0x12000000\nstate=saving\n"
                        "dump-id=00112233445566778899aabbccddeeff\nmem-held=805306368\n"
                        "progress=10 % of 1 GiB, 7 s left\n"),
          bytes_of_text("version=1\nmode=added\nstate=registered\nmem-held=0\nprogress=\n"),
          bytes_of_text("version=1\nvmcoreinfo=0xfffffffffffff000 0xffffffffffffffff\n"),
          // In the window, and beyond the end of RAM.
          bytes_of_text("version=1\nmode=registered\nsave-area=0x200000 0x14000000\n"),
          bytes_of_text("version=1\nmode=registered\nsave-area=0x38000000 0x14000000\n")};
}

void read_note(std::span<const std::byte> input) {
  if (const auto note = check_vmcoreinfo_note(input))
    fuzz_require(note->size() <= input.size() && note->data() == input.data(),
                 "a note is the beginning of what there is");
  static InMemoryGuest guest{{Gfn{0}, Gfn{32}}};
  static const FrameSet ram{{Gfn{0}, Gfn{32}}};
  constexpr std::uint64_t kAt = 16 * kFrameSize;  // the rest may reach the end of RAM
  if (!zero_guest(guest, GuestPhys{0}, 32 * kFrameSize) ||
      !write_guest(guest, GuestPhys{kAt}, input.first(std::min<std::size_t>(input.size(), kAt))))
    std::abort();
  static_cast<void>(read_vmcoreinfo(guest, ram, GuestPhys{kAt}));
  const auto found = find_vmcoreinfo(guest, ram);
  fuzz_require(found && (!*found || read_vmcoreinfo(guest, ram, **found)), "what is found is one");
}

std::vector<std::vector<std::byte>> note_seeds() {
  const std::string text = "OSRELEASE=6.1.0-x\nPAGESIZE=4096\n";
  const std::uint32_t head[3] = {11, static_cast<std::uint32_t>(text.size()), 0};
  std::string note(reinterpret_cast<const char*>(head), sizeof(head));
  note += std::string("VMCOREINFO\0\0", 12) + text + std::string(8, '\0');
  std::string large = note + std::string(8192, 'x');
  const std::uint32_t text_bytes = 8000;
  std::memcpy(large.data() + 4, &text_bytes, sizeof(text_bytes));
  return {bytes_of_text(note), bytes_of_text(large)};
}

/// The first 8 bytes are cr3, the rest lies in memory from frame 0 on.
void walk_tables(std::span<const std::byte> input) {
  constexpr std::uint64_t kFrames = 64;
  static InMemoryGuest guest{{Gfn{0}, Gfn{kFrames}}};
  static const FrameSet ram{{Gfn{0}, Gfn{kFrames}}};
  hadump_vcpu vcpu{};
  if (input.size() < sizeof(vcpu.cr3)) return;
  std::memcpy(&vcpu.cr3, input.data(), sizeof(vcpu.cr3));
  input = input.subspan(sizeof(vcpu.cr3));
  input = input.first(std::min<std::size_t>(input.size(), kFrames * kFrameSize));
  for (const std::uint64_t five_levels : {0ULL, 1ULL << 12}) {
    vcpu.cr4 = five_levels;
    if (!zero_guest(guest, GuestPhys{0}, kFrames * kFrameSize) ||
        !write_guest(guest, GuestPhys{0}, input))
      std::abort();
    if (const auto found = find_page_offset(guest, ram, std::span(&vcpu, 1)))
      fuzz_require(is_plausible_page_offset(*found), "a direct mapping starts at a GiB");
  }
}

std::vector<std::vector<std::byte>> table_seeds() {
  // cr3 = 0x1000; entry 300 of the top table leads to 0x2000, whose entry 5 is a page of 1 GiB.
  std::vector<std::byte> seed(8 + 3 * kFrameSize);
  const auto put = [&seed](std::size_t at, std::uint64_t value) {
    std::memcpy(seed.data() + at, &value, sizeof(value));
  };
  put(0, 0x1000);
  put(8 + 0x1000 + 300 * 8, 0x2000 | 1);
  put(8 + 0x2000 + 5 * 8, 0x80 | 1);
  return {seed};
}

void read_kernel(std::span<const std::byte> input) {
  static_cast<void>(bzimage_payload(input));
  static_cast<void>(unpack(input));
  const auto kernel = parse_kernel(input);
  if (!kernel) return;
  fuzz_require(!kernel->segments.empty() && kernel->entry.value != 0, "a kernel can be started");
  for (const KernelImage::Segment& segment : kernel->segments)
    fuzz_require(segment.data.size() <= segment.memory_bytes &&
                     (segment.data.empty() ||
                      (segment.data.data() >= input.data() &&
                       segment.data.data() + segment.data.size() <= input.data() + input.size())),
                 "segments are parts of the file");
  static_cast<void>(kernel->extent());
}

std::vector<std::vector<std::byte>> kernel_seeds() {
  const auto elf = sample_kernel(16_MiB, 512);
  // A bzImage: one setup sector, a payload of 64 bytes right after it.
  std::vector<std::byte> image(0x400 + 64);
  const auto put = [&image](std::size_t at, auto value) {
    std::memcpy(image.data() + at, &value, sizeof(value));
  };
  put(0x1f1, std::uint8_t{1});
  put(0x202, std::uint32_t{0x53726448});
  put(0x206, std::uint16_t{0x20f});
  put(0x248, std::uint32_t{0});
  put(0x24c, std::uint32_t{64});
  put(0x400, std::uint32_t{0x184c2102});  // lz4, legacy framing
  put(0x404, std::uint32_t{16});
  return {elf, image};
}

void read_acpi(std::span<const std::byte> input) {
  AcpiTables tables{kAcpiFrames.begin, {input.begin(), input.end()}};
  tables.bytes.resize(std::clamp<std::uint64_t>(round_up(input.size(), kFrameSize), kFrameSize,
                                                kAcpiFrames.bytes()));
  if (const auto root = check_acpi_tables(tables))
    fuzz_require(tables.frames().contains(frame_of(*root)), "the root pointer is in the tables");
}

std::vector<std::vector<std::byte>> acpi_seeds() {
  return {sample_acpi_tables().bytes};
}

}  // namespace

const FuzzTarget kFuzzXenstore = {"xenstore", read_xenstore, xenstore_seeds};
const FuzzTarget kFuzzNote = {"note", read_note, note_seeds};
const FuzzTarget kFuzzTables = {"tables", walk_tables, table_seeds};
const FuzzTarget kFuzzKernel = {"kernel", read_kernel, kernel_seeds};
const FuzzTarget kFuzzAcpi = {"acpi", read_acpi, acpi_seeds};

}  // namespace hadump
