// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/xen_core.h"
#include "core/vmcore/open.h"

#include <gmock/gmock.h>

#include <cstring>

#include "tests/unit/core/vmcore/xen_core_builder.h"

namespace hadump {
namespace {

using testing::HasSubstr;

Result<std::unique_ptr<VmcoreSource>> open_core(const XenCoreBuilder& core) {
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<MemoryFile>(core.build()));
  return open_vmcore(std::move(files));
}

TEST(XenCore, IsReadByTheNumbersOfItsFrames) {
  const auto source = open_core(XenCoreBuilder({0x10, 0x11, 0x80, 0x81, ~std::uint64_t{0}, 0x12}));
  ASSERT_TRUE(source) << source.error().what();
  EXPECT_EQ((*source)->layout().frames, (FrameSet{{Gfn{0x10}, Gfn{0x13}}, {Gfn{0x80}, Gfn{0x82}}}));
  EXPECT_FALSE((*source)->layout().incomplete);
  std::vector<std::byte> page(kFrameSize);
  for (const std::uint64_t gfn : {0x10U, 0x12U, 0x81U}) {
    FrameStatus status = FrameStatus::kFailed;
    ASSERT_TRUE((*source)->read(Gfn{gfn}, page, {&status, 1}));
    EXPECT_EQ(status, FrameStatus::kRead);
    EXPECT_EQ(page[17], static_cast<std::byte>(gfn));
  }
}

TEST(XenCore, HasTheRegistersOfItsVcpus) {
  const auto source = open_core(XenCoreBuilder({0x10}));
  ASSERT_TRUE(source);
  const auto cpus = cpu_notes((*source)->layout());
  ASSERT_EQ(cpus.size(), 1U);
  std::uint64_t rip = 0, rsp = 0;
  std::memcpy(&rip, cpus[0]->desc.data() + 112 + 16 * 8, 8);
  std::memcpy(&rsp, cpus[0]->desc.data() + 112 + 19 * 8, 8);
  EXPECT_EQ(rip, 0xffffffff81000000U);
  EXPECT_EQ(rsp, 0xffffc90000000000U);
  std::uint64_t gs_base = 0;
  std::memcpy(&gs_base, cpus[0]->desc.data() + 112 + 22 * 8, 8);
  EXPECT_EQ(gs_base, 0xffff888000001000U) << "it is in the kernel";
}

TEST(XenCore, ThatWasCutOffIsIncomplete) {
  XenCoreBuilder core({0x10, 0x11});
  core.missing_bytes = kFrameSize;
  const auto source = open_core(core);
  ASSERT_TRUE(source);
  EXPECT_TRUE((*source)->layout().incomplete);
  EXPECT_EQ((*source)->layout().lost, (FrameSet{{Gfn{0x11}, Gfn{0x12}}}));
}

TEST(XenCore, OfAPvDomainIsNamed) {
  XenCoreBuilder core({0x10});
  core.mfns = {0x12345};
  EXPECT_THAT(open_core(core).error().what(), HasSubstr("PV domain"));
}

// As our own writer makes it: the page tables lead to the guest's frames.
TEST(XenCore, OfAPvDomainWithItsOwnFramesIsRead) {
  constexpr std::uint64_t kNone = ~std::uint64_t{0};
  XenCoreBuilder core({0x10, kNone, 0x12});
  core.mfns = {0x10, kNone, 0x12};
  const auto source = open_core(core);
  ASSERT_TRUE(source) << source.error().what();
  EXPECT_EQ((*source)->layout().frames, (FrameSet{{Gfn{0x10}, Gfn{0x11}}, {Gfn{0x12}, Gfn{0x13}}}));
}

TEST(XenCore, WithFramesThatCannotBeIsRefused) {
  EXPECT_FALSE(open_core(XenCoreBuilder({std::uint64_t{1} << 60})));
}

}  // namespace
}  // namespace hadump
