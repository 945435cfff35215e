// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/flat_tree.h"

#include <fmt/format.h>
#include <libfdt.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/abi/hadump_abi.h"

namespace hadump {
namespace {

constexpr int kFdtVersion = 17;
// Ours is two deep.
constexpr unsigned kMaxDepth = 16;

tl::unexpected<Error> bad(std::string_view what) {
  return fail(ErrorCode::kBadData, fmt::format("no device tree: {}", what));
}

}  // namespace

// libfdt steps from tag to tag, which it does in constant time; names are read here.
class FlatTreeNode::Reader {
 public:
  Reader(FlatTreeNode& node, std::string_view wanted)
      : node_(node), tree_(node.tree_.data()), wanted_(wanted) {}

  Result<> run() {
    int offset = 0;
    for (int next = 0;; offset = next) {
      const std::uint32_t tag = fdt_next_tag(tree_, offset, &next);
      if (next < 0) return bad(fdt_strerror(next));
      Result<> done;
      switch (tag) {
        case FDT_BEGIN_NODE:
          done = begin(offset);
          break;
        case FDT_END_NODE:
          if (depth_ == 0) return bad("a node ends that never began");
          inside_ = inside_ && depth_ != 2;
          --depth_;
          break;
        case FDT_PROP:
          done = property(offset, next);
          break;
        case FDT_END:
          if (depth_ != 0) return bad("a node does not end");
          if (!found_) return fail(ErrorCode::kBadData, fmt::format("no /{} node", wanted_));
          return {};
        default:
          break;  // FDT_NOP
      }
      if (!done) return done;
    }
  }

 private:
  // fdt_next_tag() has seen the name's end.
  Result<> begin(int offset) {
    if (++depth_ > kMaxDepth) return bad("it is too deep");
    if (depth_ != 2) return {};
    const auto* tag = static_cast<const fdt_node_header*>(fdt_offset_ptr(tree_, offset, 4));
    if (wanted_ != tag->name) return {};
    if (found_) return bad("the node is there twice");
    found_ = inside_ = true;
    return {};
  }

  /// @param next  where libfdt goes on: its sum of offset and length may have wrapped around, so
  /// that
  ///              it has not even seen whether the whole head is there.
  Result<> property(int offset, int next) {
    if (++count_ > HADUMP_MAX_NODE_PROPERTIES)
      return bad(fmt::format("more than {} properties", HADUMP_MAX_NODE_PROPERTIES));
    if (depth_ == 0) return bad("a property stands outside every node");
    const auto* at = static_cast<const struct fdt_property*>(
        fdt_offset_ptr(tree_, offset, static_cast<unsigned>(sizeof(struct fdt_property))));
    if (at == nullptr) return bad("it ends inside a property");
    const std::uint32_t bytes = fdt32_to_cpu(at->len);
    if (bytes > static_cast<std::uint32_t>(std::max(next - offset - int{sizeof(*at)}, 0)))
      return bad("a property is longer than the tree");
    const auto name = name_at(fdt32_to_cpu(at->nameoff));
    if (!name) return bad("a property's name is too long, or outside the tree");
    if (!inside_ || depth_ != 2) return {};
    if (node_.find(*name) != nullptr) return bad(fmt::format("{} is there twice", *name));
    const std::span value(reinterpret_cast<const std::byte*>(at->data), bytes);
    node_.properties_.push_back({*name, value});
    return {};
  }

  std::optional<std::string_view> name_at(std::uint32_t offset) const {
    const std::uint32_t strings = fdt_size_dt_strings(tree_);
    if (offset >= strings) return {};
    const char* begin = static_cast<const char*>(tree_) + fdt_off_dt_strings(tree_) + offset;
    const std::size_t most = std::min<std::size_t>(strings - offset, HADUMP_MAX_PROPERTY_NAME + 1);
    const std::size_t length = strnlen(begin, most);
    if (length == most) return {};
    return std::string_view(begin, length);
  }

  FlatTreeNode& node_;
  const void* tree_;
  std::string_view wanted_;
  unsigned depth_ = 0;
  unsigned count_ = 0;
  bool inside_ = false;
  bool found_ = false;
};

Result<FlatTreeNode> FlatTreeNode::read(std::span<const std::byte> tree, std::string_view name) {
  if (tree.size() < sizeof(fdt_header) || tree.size() > HADUMP_MAX_NODE_SIZE)
    return fail(ErrorCode::kBadData, fmt::format("a dump node of {} bytes", tree.size()));
  FlatTreeNode node;
  node.tree_.resize((tree.size() + 7) / 8);
  std::memcpy(node.tree_.data(), tree.data(), tree.size());
  const void* copy = node.tree_.data();
  // The header alone says where the blocks are; this checks that they lie inside the tree.
  if (const int error = fdt_check_header(copy); error != 0) return bad(fdt_strerror(error));
  if (fdt_version(copy) < kFdtVersion) return bad("an old version");
  if (fdt_totalsize(copy) > tree.size()) return bad(fdt_strerror(-FDT_ERR_TRUNCATED));
  // Devicetree Specification 0.4, 5.6; libfdt does not check it, and tokens are read in place.
  if (fdt_off_dt_struct(copy) % 4 != 0) return bad("its structure block is not aligned");
  if (auto done = Reader(node, name).run(); !done) return fail(std::move(done));
  return node;
}

const FlatTreeNode::Property* FlatTreeNode::find(std::string_view name) const {
  const auto found = std::find_if(properties_.begin(), properties_.end(),
                                  [&](const Property& one) { return one.name == name; });
  return found == properties_.end() ? nullptr : &*found;
}

Result<std::span<const std::byte>> FlatTreeNode::property(std::string_view name) const {
  const Property* found = find(name);
  if (found == nullptr) return fail(ErrorCode::kBadData, fmt::format("{} is missing", name));
  return found->value;
}

}  // namespace hadump
