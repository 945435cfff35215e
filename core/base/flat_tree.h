// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// The properties of one node of a flattened device tree that somebody else wrote and that need not
/// be well formed. Everything is found in one pass, so the work grows with the tree and with
/// nothing else: libfdt's own look-ups start at the node's first property each time, and read a
/// property's name to its end however long that is.
class FlatTreeNode {
 public:
  /// @param tree  copied. @param name  of a child of the root.
  /// @return kBadData when it is not such a tree, has no such node or two, has a property twice, or
  ///         is beyond HADUMP_MAX_NODE_PROPERTIES or HADUMP_MAX_PROPERTY_NAME.
  static Result<FlatTreeNode> read(std::span<const std::byte> tree, std::string_view name);

  bool has(std::string_view property) const { return find(property) != nullptr; }
  /// Valid as long as this object. @return kBadData, naming the property, when it is not there.
  Result<std::span<const std::byte>> property(std::string_view name) const;

 private:
  struct Property {
    std::string_view name;
    std::span<const std::byte> value;
  };
  class Reader;
  const Property* find(std::string_view name) const;

  std::vector<std::uint64_t> tree_;  ///< libfdt wants 8-byte alignment
  std::vector<Property> properties_;
};

}  // namespace hadump
