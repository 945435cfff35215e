// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/acpi_tables.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "hv/rescue/checksum.h"

namespace hadump {
namespace {

constexpr std::size_t kHeaderBytes = 36;     // ACPI 6.4, 5.2.6
constexpr std::size_t kRootBytes = 36;       // 5.2.5.3
constexpr std::size_t kFirstRootBytes = 20;  // the part that ACPI 1.0's checksum covers
constexpr std::size_t kDsdtInFadt = 40;      // 5.2.9
constexpr std::size_t kMaxTables = 64;

class Image {
 public:
  explicit Image(const AcpiTables& tables) : tables_(tables) {}

  std::optional<std::span<const std::byte>> at(std::uint64_t address, std::size_t bytes) const {
    const std::uint64_t base = address_of(tables_.first).value;
    if (address < base || bytes > tables_.bytes.size() ||
        address - base > tables_.bytes.size() - bytes)
      return {};
    return std::span(tables_.bytes).subspan(address - base, bytes);
  }

 private:
  const AcpiTables& tables_;
};

template <typename T>
T number(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

bool sums_to_zero(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  return (sum & 0xff) == 0;
}

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

Result<std::span<const std::byte>> checked_table(const Image& image, std::uint64_t address) {
  const auto header = image.at(address, kHeaderBytes);
  if (!header) return fail(ErrorCode::kBadData, "an ACPI table is outside its pages");
  const auto table = image.at(address, number<std::uint32_t>(*header, 4));
  // The FACS is the one table without a checksum; nothing that leads here points at it.
  if (!table || table->size() < kHeaderBytes || !sums_to_zero(*table))
    return fail(ErrorCode::kBadData, fmt::format("the ACPI table at {:#x} is damaged", address));
  return *table;
}

Result<> check_children(const Image& image, std::span<const std::byte> root, std::size_t width) {
  if ((root.size() - kHeaderBytes) / width > kMaxTables)
    return fail(ErrorCode::kBadData, "too many ACPI tables");
  for (std::size_t at = kHeaderBytes; at + width <= root.size(); at += width) {
    auto table = checked_table(
        image, width == 8 ? number<std::uint64_t>(root, at) : number<std::uint32_t>(root, at));
    if (!table) return fail(std::move(table));
    if (!starts_with(*table, "FACP")) continue;
    if (table->size() < kDsdtInFadt + 4) return fail(ErrorCode::kBadData, "the FADT is too short");
    if (auto dsdt = checked_table(image, number<std::uint32_t>(*table, kDsdtInFadt)); !dsdt)
      return fail(std::move(dsdt));
  }
  return {};
}

}  // namespace

std::string acpi_tables_key(const AcpiShape& shape) {
  std::vector<std::byte> map;
  for (const bool available : shape.available) map.push_back(std::byte{available});
  return fmt::format("{}vcpus-{:016x}-{}{}", map.size(), checksum(map),
                     shape.acpi ? "acpi" : "none", shape.apic ? "" : "-noapic");
}

Result<GuestPhys> check_acpi_tables(const AcpiTables& tables) {
  const Image image(tables);
  const std::uint64_t base = address_of(tables.first).value;
  constexpr std::size_t kRootAlignment = 16;
  for (std::uint64_t at = base; at < base + tables.bytes.size(); at += kRootAlignment) {
    const auto root = image.at(at, kRootBytes);
    if (!root || !starts_with(*root, "RSD PTR ")) continue;
    if (!sums_to_zero(root->first(kFirstRootBytes)) || !sums_to_zero(*root))
      return fail(ErrorCode::kBadData, "the ACPI root pointer is damaged");
    for (auto [address, width] : {std::pair{std::uint64_t{number<std::uint32_t>(*root, 16)}, 4},
                                  std::pair{number<std::uint64_t>(*root, 24), 8}}) {
      if (address == 0) continue;
      auto table = checked_table(image, address);
      if (!table) return fail(std::move(table));
      if (auto done = check_children(image, *table, static_cast<std::size_t>(width)); !done)
        return fail(std::move(done));
    }
    return GuestPhys{at};
  }
  return fail(ErrorCode::kBadData, "no ACPI root pointer");
}

}  // namespace hadump
