// SPDX-License-Identifier: GPL-2.0-or-later
// The core of a domain as `xl dump-core` writes it, made by the format's description.
#include "core/vmcore/xen_core.h"
#include "core/vmcore/open.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>

#include "core/base/elf_header.h"

namespace hadump {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kContextBytes = 5168, kRip = 648, kRsp = 672, kGsBaseKernel = 5152;

/// Pages of which each is filled with the low byte of its frame's number.
class XenCore {
 public:
  explicit XenCore(std::vector<std::uint64_t> pfns) : pfns_(std::move(pfns)) {}
  std::vector<std::uint64_t> mfns;  ///< of a PV domain: where each page was
  std::uint64_t missing_bytes = 0;

  std::vector<std::byte> build() const {
    std::string names(1, '\0');
    std::vector<Elf64_Shdr> sections(1);
    std::vector<std::byte> content;
    const auto add = [&](const std::string& name, std::uint64_t entry, const auto& bytes) {
      Elf64_Shdr section{};
      section.sh_name = static_cast<Elf64_Word>(names.size());
      names += name + '\0';
      section.sh_offset = kContent + content.size();
      section.sh_size = bytes.size();
      section.sh_entsize = entry;
      content.insert(content.end(), bytes.begin(), bytes.end());
      sections.push_back(section);
    };
    std::vector<std::byte> context(kContextBytes);
    const std::uint64_t rip = 0xffffffff81000000, rsp = 0xffffc90000000000;
    std::memcpy(context.data() + kRip, &rip, 8);
    std::memcpy(context.data() + kRsp, &rsp, 8);
    const std::uint64_t kernel_gs_base = 0xffff888000001000;
    std::memcpy(context.data() + kGsBaseKernel, &kernel_gs_base, 8);
    add(".xen_prstatus", kContextBytes, context);
    std::vector<std::uint64_t> pairs;
    for (std::size_t i = 0; i < mfns.size(); ++i) pairs.insert(pairs.end(), {pfns_[i], mfns[i]});
    if (mfns.empty())
      add(".xen_pfn", 8, std::as_bytes(std::span(pfns_)));
    else
      add(".xen_p2m", 16, std::as_bytes(std::span(pairs)));
    std::vector<std::byte> pages(pfns_.size() * kFrameSize);
    for (std::size_t i = 0; i < pfns_.size(); ++i)
      std::memset(pages.data() + i * kFrameSize, static_cast<int>(pfns_[i] & 0xff), kFrameSize);
    add(".xen_pages", kFrameSize, pages);
    names += std::string(".shstrtab") + '\0';
    Elf64_Shdr strings{};
    strings.sh_name = static_cast<Elf64_Word>(names.size() - 10);
    strings.sh_offset = kNames;
    strings.sh_size = names.size();
    sections.push_back(strings);

    Elf64_Ehdr header = make_elf_header(ET_CORE, 0);
    header.e_phnum = 0;
    header.e_shoff = sizeof(header);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<Elf64_Half>(sections.size());
    header.e_shstrndx = static_cast<Elf64_Half>(sections.size() - 1);
    std::vector<std::byte> file(kContent + content.size());
    std::memcpy(file.data(), &header, sizeof(header));
    std::memcpy(file.data() + sizeof(header), sections.data(),
                sections.size() * sizeof(Elf64_Shdr));
    std::memcpy(file.data() + kNames, names.data(), names.size());
    std::copy(content.begin(), content.end(), file.begin() + kContent);
    file.resize(file.size() - missing_bytes);
    return file;
  }

 private:
  static constexpr std::uint64_t kNames = 2048, kContent = 4096;
  std::vector<std::uint64_t> pfns_;
};

Result<std::unique_ptr<VmcoreSource>> open_core(const XenCore& core) {
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<MemoryFile>(core.build()));
  return open_vmcore(std::move(files));
}

TEST(XenCore, IsReadByTheNumbersOfItsFrames) {
  const auto source = open_core(XenCore({0x10, 0x11, 0x80, 0x81, ~std::uint64_t{0}, 0x12}));
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
  const auto source = open_core(XenCore({0x10}));
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
  XenCore core({0x10, 0x11});
  core.missing_bytes = kFrameSize;
  const auto source = open_core(core);
  ASSERT_TRUE(source);
  EXPECT_TRUE((*source)->layout().incomplete);
  EXPECT_EQ((*source)->layout().lost, (FrameSet{{Gfn{0x11}, Gfn{0x12}}}));
}

TEST(XenCore, OfAPvDomainIsNamed) {
  XenCore core({0x10});
  core.mfns = {0x12345};
  EXPECT_THAT(open_core(core).error().what(), HasSubstr("PV domain"));
}

// As our own writer makes it: the page tables lead to the guest's frames.
TEST(XenCore, OfAPvDomainWithItsOwnFramesIsRead) {
  constexpr std::uint64_t kNone = ~std::uint64_t{0};
  XenCore core({0x10, kNone, 0x12});
  core.mfns = {0x10, kNone, 0x12};
  const auto source = open_core(core);
  ASSERT_TRUE(source) << source.error().what();
  EXPECT_EQ((*source)->layout().frames, (FrameSet{{Gfn{0x10}, Gfn{0x11}}, {Gfn{0x12}, Gfn{0x13}}}));
}

TEST(XenCore, WithFramesThatCannotBeIsRefused) {
  EXPECT_FALSE(open_core(XenCore({std::uint64_t{1} << 60})));
}

}  // namespace
}  // namespace hadump
