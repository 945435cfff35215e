// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/twin.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "hv/rescue/checksum.h"

namespace hadump {

TwinMark twin_mark(std::uint64_t device, std::uint64_t inode) {
  const std::string seed = fmt::format("{}{:x}-{:x}", kTwinPrefix, device, inode);
  const std::uint64_t hash = checksum(std::as_bytes(std::span(seed)));
  TwinMark mark;
  static_assert(sizeof(mark) == sizeof(hash));
  std::memcpy(mark.data(), &hash, sizeof(hash));
  mark[6] = static_cast<std::uint8_t>(0x80 | (mark[6] & 0x0f));  // RFC 9562: version 8, "custom"
  return mark;
}

std::vector<unsigned> leftover_twins(std::span<const DomainStatus> domains, const TwinMark& mark) {
  std::string beginning;
  for (std::size_t i = 0; i < mark.size(); ++i)
    beginning += fmt::format("{}{:02x}", i == 4 || i == 6 ? "-" : "", mark[i]);
  std::vector<unsigned> twins;
  for (const DomainStatus& domain : domains)
    if (domain.uuid.starts_with(beginning + "-") && domain.paused && !domain.shutdown &&
        !domain.dying)
      twins.push_back(domain.domid);
  return twins;
}

}  // namespace hadump
