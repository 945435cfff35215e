// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/boot_image.h"

#include <fmt/format.h>

#include <cstring>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"
#include "hv/rescue/window_cmdline.h"

namespace hadump {
namespace {

// The wire structures; hv/xen asserts that they are Xen's.
constexpr std::uint32_t kStartMagic = 0x336ec578;
struct StartInfo {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t flags;
  std::uint32_t modules;
  std::uint64_t module_list;
  std::uint64_t cmdline;
  std::uint64_t rsdp;
  std::uint64_t memory_map;
  std::uint32_t memory_map_entries;
  std::uint32_t reserved;
};
static_assert(sizeof(StartInfo) == 56);
struct Module {
  std::uint64_t address;
  std::uint64_t bytes;
  std::uint64_t cmdline;
  std::uint64_t reserved;
};
struct WireMapEntry {
  std::uint64_t address;
  std::uint64_t bytes;
  std::uint32_t type;
  std::uint32_t reserved;
};
static_assert(sizeof(WireMapEntry) == 24);

template <typename T>
void put(std::vector<std::byte>& out, std::size_t at, const T& value) {
  std::memcpy(out.data() + at, &value, sizeof(value));
}

std::vector<std::byte> write_start_info(const BootInput& input, GuestPhys at, GuestPhys initrd) {
  const std::size_t module_at = sizeof(StartInfo);
  const std::size_t map_at = module_at + sizeof(Module);
  const std::size_t cmdline_at = map_at + input.memory_map.size() * sizeof(WireMapEntry);
  std::vector<std::byte> out(round_up(cmdline_at + input.cmdline.size() + 1, kFrameSize));

  const StartInfo info{
      .magic = kStartMagic,
      .version = 1,
      .flags = 0,
      .modules = input.initrd_bytes > 0 ? 1U : 0U,
      .module_list = input.initrd_bytes > 0 ? at.value + module_at : 0,
      .cmdline = at.value + cmdline_at,
      .rsdp = input.rsdp.value,
      .memory_map = at.value + map_at,
      .memory_map_entries = static_cast<std::uint32_t>(input.memory_map.size()),
      .reserved = 0,
  };
  put(out, 0, info);
  if (input.initrd_bytes > 0) put(out, module_at, Module{initrd.value, input.initrd_bytes, 0, 0});
  std::size_t next = map_at;
  for (const MapEntry& entry : input.memory_map) {
    put(out, next,
        WireMapEntry{entry.address, entry.bytes, static_cast<std::uint32_t>(entry.type), 0});
    next += sizeof(WireMapEntry);
  }
  std::memcpy(out.data() + cmdline_at, input.cmdline.c_str(), input.cmdline.size() + 1);
  return out;
}

// What to do about a window that ends before `end`.
std::string larger_window(std::uint64_t end) {
  return fmt::format("`window =` must be at least {}",
                     format_size(round_up(end, HADUMP_BLOCK_SIZE)));
}

}  // namespace

Result<> check_memory_map(const std::vector<MapEntry>& map) {
  if (map.size() > kMaxMapEntries)
    return fail(ErrorCode::kUnsupported,
                fmt::format("the guest has given its memory back in so many pieces that its memory "
                            "map would have {} entries; a kernel takes {}",
                            map.size(), kMaxMapEntries));
  return {};
}

Result<BootImage> plan_boot(const BootInput& input) {
  if (auto fits = check_memory_map(input.memory_map); !fits) return fail(std::move(fits));
  if (!input.window.contains(input.kernel))
    return fail(ErrorCode::kBadData,
                fmt::format("the kernel, loaded from {} to {}, is not inside the window of {}; {}",
                            format_size(address_of(input.kernel.begin).value),
                            format_size(address_of(input.kernel.end).value),
                            format_size(input.window.bytes()),
                            larger_window(address_of(input.kernel.end).value)));
  if (input.cmdline.size() > kMaxCmdline)
    return fail(
        ErrorCode::kBadData,
        fmt::format("with hadumpd's additions the command line has {} characters, and Linux "
                    "takes {}; the domain needs a shorter one, or a `cmdline =`",
                    input.cmdline.size(), kMaxCmdline));
  const std::uint64_t window_end = address_of(input.window.end).value;
  const std::uint64_t info_bytes =
      round_up(sizeof(StartInfo) + sizeof(Module) + input.cmdline.size() + 1 +
                   input.memory_map.size() * sizeof(WireMapEntry),
               kFrameSize);
  const std::uint64_t initrd_room = round_up(input.initrd_bytes, kFrameSize);
  const std::uint64_t free_bytes = window_end - address_of(input.kernel.end).value;
  if (initrd_room > free_bytes || info_bytes > free_bytes - initrd_room)
    return fail(
        ErrorCode::kNoSpace,
        fmt::format("the kernel, which ends at {}, and an initrd of {} do not fit into the "
                    "window of {}; {}",
                    format_size(address_of(input.kernel.end).value),
                    format_size(input.initrd_bytes), format_size(input.window.bytes()),
                    larger_window(address_of(input.kernel.end).value + initrd_room + info_bytes)));
  BootImage image;
  image.initrd = GuestPhys{window_end - initrd_room};
  image.start_info = GuestPhys{image.initrd.value - info_bytes};
  image.start_info_bytes = write_start_info(input, image.start_info, image.initrd);
  return image;
}

Result<> load_boot_image(const GuestMemory& memory, const BootImage& image,
                         const KernelImage& kernel, std::span<const std::byte> initrd) {
  for (const KernelImage::Segment& segment : kernel.segments) {
    if (auto done = write_guest(memory, segment.address, segment.data); !done)
      return fail(std::move(done), "loading the kernel");
    const GuestPhys rest{segment.address.value + segment.data.size()};
    if (auto done = zero_guest(memory, rest, segment.memory_bytes - segment.data.size()); !done)
      return fail(std::move(done), "loading the kernel");
  }
  if (auto done = write_guest(memory, image.initrd, initrd); !done)
    return fail(std::move(done), "loading the initrd");
  if (auto done = write_guest(memory, image.start_info, image.start_info_bytes); !done)
    return fail(std::move(done), "writing the start info");
  return {};
}

}  // namespace hadump
