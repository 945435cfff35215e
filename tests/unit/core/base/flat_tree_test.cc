// SPDX-License-Identifier: GPL-2.0-or-later
// Trees that nothing of ours writes: as large as they may be, and as slow to read as they can.
#include "core/base/flat_tree.h"

#include <gmock/gmock.h>

#include <cstring>
#include <string>

#include "core/abi/hadump_abi.h"
#include "core/base/endian.h"
#include "core/base/units.h"

namespace hadump {
namespace {

using testing::HasSubstr;

// A flattened tree, token by token (Devicetree Specification 0.4, chapter 5).
class RawTree {
 public:
  RawTree& begin(const std::string& name) {
    token(1);
    return text(name);
  }
  RawTree& end() { return token(2); }
  RawTree& nop() { return token(4); }
  RawTree& property(std::uint32_t name_at, std::string_view value = {}) {
    token(3);
    token(static_cast<std::uint32_t>(value.size()));
    token(name_at);
    structs_ += value;
    structs_.resize(round_up(structs_.size(), 4));
    return *this;
  }
  RawTree& property(const std::string& name, std::string_view value = {}) {
    return property(add_string(name), value);
  }
  /// Says of itself that its value has so many bytes; none follow.
  RawTree& claim(const std::string& name, std::uint32_t bytes) {
    token(3);
    token(bytes);
    return token(add_string(name));
  }
  std::uint32_t add_string(const std::string& name) {
    const auto at = static_cast<std::uint32_t>(strings_.size());
    strings_ += name;
    strings_ += '\0';
    return at;
  }
  /// The structure block ends so many bytes earlier, and has no end.
  RawTree& cut(std::size_t bytes) {
    structs_.resize(structs_.size() - bytes);
    cut_ = true;
    return *this;
  }
  /// @param gap  bytes before the structure block.
  std::vector<std::byte> finish(std::uint32_t gap = 0) {
    if (!cut_) token(9);
    constexpr std::uint32_t kHeader = 40;
    const std::uint32_t reserved = 16 + gap;
    const auto structs = static_cast<std::uint32_t>(structs_.size());
    const auto strings = static_cast<std::uint32_t>(strings_.size());
    const std::uint32_t at = kHeader + reserved;
    const be32 header[] = {
        0xd00dfeedU, at + structs + strings, at, at + structs, kHeader, 17U, 16U, 0U, strings,
        structs};
    std::string all(reinterpret_cast<const char*>(header), sizeof(header));
    all.resize(at);
    all += structs_ + strings_;
    const auto bytes = std::as_bytes(std::span(all));
    return {bytes.begin(), bytes.end()};
  }
  std::size_t size() const { return 56 + structs_.size() + strings_.size() + 4; }

 private:
  RawTree& token(std::uint32_t value) {
    const be32 wire = value;
    structs_.append(reinterpret_cast<const char*>(&wire), sizeof(wire));
    return *this;
  }
  RawTree& text(const std::string& name) {
    structs_ += name;
    structs_ += '\0';
    structs_.resize(round_up(structs_.size(), 4));
    return *this;
  }
  std::string structs_;
  std::string strings_;
  bool cut_ = false;
};

Result<FlatTreeNode> read(RawTree& tree) {
  return FlatTreeNode::read(tree.finish(), "x");
}

std::string complaint(RawTree& tree) {
  auto node = read(tree);
  return node ? "none" : node.error().what();
}

TEST(FlatTreeNode, FindsTheNodesOwnProperties) {
  RawTree tree;
  tree.begin("").property("outside", "1");
  tree.begin("x").property("a", "one").nop().begin("deeper").property("b", "2").end();
  tree.property("c").end();
  tree.begin("y").property("d", "4").end().end();
  auto node = read(tree);
  ASSERT_TRUE(node) << node.error().what();
  const auto a = node->property("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(a->data()), a->size()), "one");
  EXPECT_TRUE(node->has("c"));
  for (const char* name : {"outside", "b", "d", ""}) EXPECT_FALSE(node->has(name)) << name;
  EXPECT_THAT(node->property("d").error().what(), HasSubstr("d is missing"));
}

TEST(FlatTreeNode, RefusesWhatIsTwiceOrNowhere) {
  EXPECT_THAT(complaint(RawTree().begin("").begin("x").end().begin("x").end().end()),
              HasSubstr("twice"));
  EXPECT_THAT(complaint(RawTree().begin("").begin("x").property("a").property("a").end().end()),
              HasSubstr("a is there twice"));
  EXPECT_THAT(complaint(RawTree().begin("").begin("y").end().end()), HasSubstr("no /x node"));
  EXPECT_THAT(complaint(RawTree().begin("").begin("x").end()), HasSubstr("does not end"));
  EXPECT_THAT(complaint(RawTree().begin("").begin("x").property(99).end().end()),
              HasSubstr("outside the tree"));
  EXPECT_NE(complaint(RawTree().end()), "none");
  RawTree deep;
  for (int i = 0; i < 17; ++i) deep.begin("");
  EXPECT_THAT(complaint(deep), HasSubstr("too deep"));
}

// Found by the fuzzer: tokens were read in place, wherever the header says that they begin.
TEST(FlatTreeNode, RefusesAStructureBlockThatIsNotAligned) {
  for (const std::uint32_t gap : {1U, 2U, 3U, 4U}) {
    RawTree tree;
    tree.begin("").begin("x").property("a", "one").end().end();
    const auto node = FlatTreeNode::read(tree.finish(gap), "x");
    EXPECT_EQ(node.has_value(), gap == 4) << gap;
    if (!node) {
      EXPECT_THAT(node.error().what(), HasSubstr("not aligned"));
    }
  }
}

// Found by the fuzzer: libfdt 1.6.1 adds a length to an offset and does not see it wrap around. So
// near to 2^32 it stands still or goes on inside the property, and the value reaches beyond the
// tree.
TEST(FlatTreeNode, RefusesAPropertyLongerThanTheTree) {
  for (std::uint32_t bytes = 0xffff'ffff; bytes >= 0xffff'ffd0; --bytes) {
    RawTree tree;
    tree.begin("").begin("x").claim("a", bytes).end().end();
    EXPECT_THAT(complaint(tree), HasSubstr("no device tree: ")) << std::hex << bytes;
  }
}

// Found by the fuzzer, likewise: a step back also hides that the block ends inside a property's
// head.
TEST(FlatTreeNode, RefusesAPropertyWhoseHeadIsNotWhole) {
  for (std::uint32_t bytes = 0xffff'ffff; bytes >= 0xffff'ffd0; --bytes)
    for (const std::size_t missing : {4U, 8U}) {
      RawTree tree;
      tree.begin("").begin("x").claim("a", bytes).cut(missing);
      EXPECT_THAT(complaint(tree), HasSubstr("no device tree: ")) << std::hex << bytes;
    }
}

TEST(FlatTreeNode, CountsProperties) {
  for (const unsigned more : {0U, 1U}) {
    RawTree tree;
    tree.begin("").begin("x");
    for (unsigned i = 0; i < HADUMP_MAX_NODE_PROPERTIES + more; ++i)
      tree.property(std::to_string(i));
    EXPECT_THAT(complaint(tree.end().end()), HasSubstr(more ? "more than 64 properties" : "none"));
  }
}

TEST(FlatTreeNode, ReadsNoNameBeyondItsLimit) {
  for (const unsigned more : {0U, 1U}) {
    RawTree tree;
    tree.begin("").begin("x").property(std::string(HADUMP_MAX_PROPERTY_NAME + more, 'n'));
    EXPECT_THAT(complaint(tree.end().end()), HasSubstr(more ? "too long" : "none"));
  }
}

// Took 31 s: each property's name was read to its end, again and again.
TEST(FlatTreeNode, RefusesTheSlowestTreeAtItsFirstName) {
  RawTree tree;
  tree.begin("").begin("x");
  const std::uint32_t name = tree.add_string(std::string(1_MiB, 'n'));
  while (tree.size() + 64 < HADUMP_MAX_NODE_SIZE) tree.property(name);
  EXPECT_THAT(complaint(tree.end().end()), HasSubstr("too long"));
}

TEST(FlatTreeNode, TakesATreeOfNothingButGaps) {
  RawTree tree;
  tree.begin("").begin("x");
  while (tree.size() + 64 < HADUMP_MAX_NODE_SIZE) tree.nop();
  EXPECT_EQ(complaint(tree.property("a").end().end()), "none");
}

}  // namespace
}  // namespace hadump
