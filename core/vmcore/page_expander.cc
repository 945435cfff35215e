// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/page_expander.h"

#include <fmt/format.h>

#include <cstring>

namespace hadump {
namespace {

tl::unexpected<Error> damaged(std::string_view codec) {
  return fail(ErrorCode::kBadData, fmt::format("the page's {} data is damaged", codec));
}

}  // namespace

Result<> PageExpander::expand(std::uint32_t flags, std::span<const std::byte> data,
                              std::span<std::byte> page) {
  const auto rows = codecs();
  std::size_t found = rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if ((flags & rows[i].flag) == 0) continue;
    if (found != rows.size()) return fail(ErrorCode::kBadData, "the page claims several codecs");
    found = i;
  }
  if (found == rows.size()) {
    if (data.size() != page.size()) return damaged("raw");
    std::memcpy(page.data(), data.data(), page.size());
    return {};
  }
  decompressors_.resize(rows.size());
  auto& decompressor = decompressors_[found];
  if (!decompressor) {
    auto opened = rows[found].open_decompressor();
    if (!opened) return fail(std::move(opened));
    decompressor = std::move(*opened);
  }
  return decompressor->expand(data, page) ? Result<>() : damaged(rows[found].name);
}

}  // namespace hadump
