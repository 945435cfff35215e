// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/elf_header.h"
#include "core/base/units.h"

namespace hadump {

/// The core of a domain as `xl dump-core` writes it, made by the format's description.
/// Pages of which each is filled with the low byte of its frame's number.
class XenCoreBuilder {
 public:
  explicit XenCoreBuilder(std::vector<std::uint64_t> pfns) : pfns_(std::move(pfns)) {}
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
  static constexpr std::uint64_t kContextBytes = 5168, kRip = 648, kRsp = 672, kGsBaseKernel = 5152;
  static constexpr std::uint64_t kNames = 2048, kContent = 4096;
  std::vector<std::uint64_t> pfns_;
};

}  // namespace hadump
