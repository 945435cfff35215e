// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/domain_vmcore.h"
#include "core/vmcore/open.h"

#include <elf.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/dump/dump_writer.h"
#include "core/dump/file_sink.h"
#include "tests/contract/vmcore_source_contract.h"
#include "tests/fakes/in_memory_domain.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {
namespace {

TEST(DomainVmcore, KeepsTheContract) {
  InMemoryGuest guest{kContractFrames};
  for (Gfn gfn = kContractFrames.begin; gfn < kContractFrames.end; ++gfn.value)
    guest.fill(gfn, contract_fill(gfn));
  DomainFacts facts;
  facts.survey.ram = {kContractFrames};
  check_vmcore_source_contract(DomainVmcore(guest, facts));
}

TEST(DomainVmcore, SaysWhatCannotBeRead) {
  InMemoryGuest guest{{Gfn{0}, Gfn{8}}};
  guest.fill(Gfn{1}, std::byte{1});
  DomainFacts facts;
  facts.survey.ram = {{Gfn{0}, Gfn{3}}, {Gfn{4}, Gfn{8}}};
  facts.survey.broken = {{Gfn{3}, Gfn{4}}};
  const DomainVmcore source(guest, facts);
  ASSERT_TRUE(guest.remove({Gfn{6}, Gfn{7}}));  // since the survey

  std::vector<std::byte> out(9 * kFrameSize, std::byte{0xee});
  std::vector<FrameStatus> status(9);
  ASSERT_TRUE(source.read(Gfn{0}, out, status));
  using enum FrameStatus;
  EXPECT_THAT(status, testing::ElementsAre(kRead, kRead, kRead, kFailed, kRead, kRead, kFailed,
                                           kRead, kAbsent));
  EXPECT_EQ(out[kFrameSize], std::byte{1});
  EXPECT_EQ(out[3 * kFrameSize], std::byte{0});

  EXPECT_EQ(source.map({Gfn{0}, Gfn{8}})->range(), (FrameRange{Gfn{0}, Gfn{3}}));
  EXPECT_EQ(source.map({Gfn{3}, Gfn{8}}).error().code(), ErrorCode::kBadData);
  EXPECT_EQ(source.map({Gfn{4}, Gfn{8}})->range(), (FrameRange{Gfn{4}, Gfn{6}}));
  EXPECT_EQ(source.map({Gfn{6}, Gfn{8}}).error().code(), ErrorCode::kBadData);
}

// A guest with a hole, a page of the hypervisor's, and VMCOREINFO in a page of its own.
class DomainDumpTest : public testing::Test {
 protected:
  DomainDumpTest() {
    for (FrameRange range : ram_.ranges())
      for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)
        guest_.fill(gfn, static_cast<std::byte>(gfn.value % 251));
    guest_.fill(Gfn{1}, std::byte{0xaa}).make_special(Gfn{1});
    struct {
      Elf64_Nhdr header{11, 17, 0};
      char name[12] = "VMCOREINFO";
      char text[20] = "OSRELEASE=6.1.0-x";
    } const note;
    put(GuestPhys{40 * kFrameSize}, std::as_bytes(std::span(&note, 1)));
    std::string made = (std::filesystem::temp_directory_path() / "domain-dump-XXXXXX").string();
    directory_ = ::mkdtemp(made.data());
  }
  ~DomainDumpTest() override { std::filesystem::remove_all(directory_); }

  void put(GuestPhys at, std::span<const std::byte> bytes) {
    EXPECT_TRUE(write_guest(guest_, at, bytes));
  }
  Result<DomainFacts> look() {
    return look_at_domain(domain_, guest_, layout_, {{Gfn{0}, Gfn{256}}}, {});
  }
  std::unique_ptr<VmcoreSource> dump(const VmcoreSource& source, const OutputFormat* format) {
    const std::string path = directory_ + "/dump";
    std::vector<std::unique_ptr<DumpSink>> sinks;
    sinks.push_back(std::move(*open_file_sink(path)));
    DumpOptions options;
    options.format = format;
    auto writer =
        DumpWriter::create(source, nullptr, source.layout().frames, options, std::move(sinks));
    EXPECT_TRUE(writer);
    for (FrameSet portion; !(portion = (*writer)->next_portion(2_MiB)).empty();) {
      EXPECT_TRUE((*writer)->write_portion(portion));
      EXPECT_TRUE((*writer)->make_durable());
    }
    const auto summary = (*writer)->finish();
    EXPECT_TRUE(summary && summary->complete);
    return std::move(*open_vmcore(path));
  }

  const FrameSet ram_{{Gfn{0}, Gfn{1000}}, {Gfn{1100}, Gfn{2048}}};  // ballooned out: 1000 to 1100
  const FrameSet layout_{{Gfn{0}, Gfn{2048}}};
  InMemoryGuest guest_{{Gfn{0}, Gfn{1000}}, {Gfn{1100}, Gfn{2048}}};
  History history_;
  InMemoryDomain domain_{history_};
  std::string directory_;
};

TEST_F(DomainDumpTest, IsWrittenByTheDumpEngineAndReadsBack) {
  const auto facts = look();
  ASSERT_TRUE(facts) << facts.error().what();
  const DomainVmcore source(guest_, *facts);
  EXPECT_EQ(source.layout().frames, ram_);
  EXPECT_EQ(cpu_notes(source.layout()).size(), 2U);
  EXPECT_EQ(vmcoreinfo_text(source.layout()), "OSRELEASE=6.1.0-x");
  for (const OutputFormat* format : {find_output_format("elf"), find_output_format("kdump")}) {
    const auto back = dump(source, format);
    EXPECT_FALSE(back->layout().incomplete);
    EXPECT_EQ(cpu_notes(back->layout()).size(), 2U);
    EXPECT_EQ(vmcoreinfo_text(back->layout()), "OSRELEASE=6.1.0-x");
    std::array<std::byte, kFrameSize> page;
    for (std::uint64_t gfn = 0; gfn < 2048; ++gfn) {
      FrameStatus status{};
      ASSERT_TRUE(back->read(Gfn{gfn}, page, {&status, 1}));
      ASSERT_EQ(status, ram_.contains(Gfn{gfn}) ? FrameStatus::kRead : FrameStatus::kAbsent) << gfn;
      if (status == FrameStatus::kRead) {
        ASSERT_EQ(std::memcmp(page.data(), guest_.content(Gfn{gfn}).data(), kFrameSize), 0) << gfn;
      }
    }
    std::filesystem::remove(directory_ + "/dump");
  }
}

TEST_F(DomainDumpTest, HasTheRegistersOfEveryVcpu) {
  const auto facts = look();
  ASSERT_TRUE(facts);
  const DomainVmcore source(guest_, *facts);
  const auto notes = cpu_notes(source.layout());
  ASSERT_EQ(notes.size(), 2U);
  std::uint64_t rip = 0;  // elf_prstatus has its registers at 112; rip is the 17th
  std::memcpy(&rip, notes[1]->desc.data() + 112 + 16 * 8, sizeof(rip));
  EXPECT_EQ(rip, 0xffffffff81000001);
}

}  // namespace
}  // namespace hadump
