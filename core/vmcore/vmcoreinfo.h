// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

inline constexpr std::size_t kMaxVmcoreinfoBytes = 1 << 20;  // Linux's is one page
inline constexpr std::size_t kMaxVmcoreinfoKeys = 16384;

/// What a kernel tells about itself in its VMCOREINFO note: "KEY=VALUE" lines, where a key is a
/// word or KIND(name). Everything is hostile until used; a missing or malformed value is nullopt.
///
/// Source: kernel/vmcore_info.c, include/linux/vmcore_info.h.
class Vmcoreinfo {
 public:
  /// Lines that are no "KEY=VALUE" are skipped; of a key that occurs twice the last one counts.
  /// @return kNotFound when the text is empty; kBadData above one of the limits.
  static Result<Vmcoreinfo> parse(std::string_view text);

  /// The value as it stands, of "OSRELEASE" or "SYMBOL(prb)".
  std::optional<std::string_view> text(std::string_view key) const;

  std::optional<GuestVirt> symbol(std::string_view name) const;      ///< hexadecimal
  std::optional<std::uint64_t> size(std::string_view name) const;    ///< bytes
  std::optional<std::uint64_t> offset(std::string_view name) const;  ///< bytes, of "type.member"
  std::optional<std::uint64_t> length(std::string_view name) const;  ///< elements
  std::optional<std::int64_t> number(std::string_view name) const;   ///< decimal or 0x…, signed
  std::optional<std::uint64_t> hex(std::string_view key) const;      ///< KERNELOFFSET

  /// Where struct new_utsname is in struct uts_namespace. Kernels before v5.11 do not say it
  /// (commit ca4a9241cc5e); there it follows a struct kref.
  std::uint64_t uts_name_offset() const { return offset("uts_namespace.name").value_or(4); }

 private:
  std::optional<std::string_view> value(std::string_view kind, std::string_view name) const;

  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace hadump
