// SPDX-License-Identifier: GPL-2.0-or-later
// What the saver reads that others wrote: the module's text, a peer's, its own files after a crash,
// and the tables of a dump that it is to check.
#include <fcntl.h>
#include <libfdt.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/file.h"
#include "core/save/acked_sink.h"
#include "core/save/journal.h"
#include "core/save/region_table.h"
#include "core/save/save_registry.h"
#include "core/vmcore/open.h"
#include "core/vmcore/source.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/core/vmcore/kdump_builder.h"
#include "userspace/dump_tools/kdump_check.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {
namespace {

std::string_view text_of(std::span<const std::byte> input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

const Scratch& scratch() {
  static const Scratch one;
  return one;
}

void read_journal_file(std::span<const std::byte> input) {
  const HeldFile file = scratch().held(scratch().put("journal", input));
  const auto content = read_journal(file);
  if (!content) return;
  fuzz_require(!content->files.empty() && content->files.size() == content->finals.size(),
               "a save has files, and names for them");
  FrameSet written;
  for (const LevelStep& step : content->steps) written.insert(step.frames);
  fuzz_require(written == content->durable, "what is durable was written at some level");
  const auto again = Journal::reopen(file, *content);
  fuzz_require(again.has_value() == !content->published, "a save that is not over can go on");
  if (again) fuzz_require(*read_journal(file) == *content, "a journal comes back as it was");
}

std::vector<std::vector<std::byte>> journal_seeds() {
  return {bytes_of_text("hadump-journal 1\ndump 00112233445566778899aabbccddeeff\n"
                        "settings format=kdump codec=zlib:1 levels=1,31\nwith /d/.old.hadump-"
                        "journal\nfile /d/a-incomplete\nfile /d/b-incomplete\nfinal /d/a\n"
                        "final /d/b\nframes 0x0 0x40000\nframes 0x50000 0x60000\nbegin\n"
                        "level 1\ndurable 0x0 0x10000\nlost 0x10000 0x10001\nlevel 31\n"
                        "durable 0x10000 0x20000\ndurable 0x50000 0x60000\n"),
          bytes_of_text("hadump-journal 1\ndump x\nsettings \nfile /a\nfinal /b\nbegin\n"
                        "durable 0 1\npublished\n"),
          // Torn in the middle of a line.
          bytes_of_text("hadump-journal 1\ndump x\nsettings y\nfile /a\nfinal /b\nbegin\n"
                        "level 0\ndurable 0x0 0x1000\ndurable 0x1000 0x20")};
}

void read_regions(std::span<const std::byte> input) {
  const auto table = RegionTable::parse(text_of(input));
  if (!table) return;
  std::string printed;
  Gfn at{0};
  for (const Region& region : table->regions()) {
    fuzz_require(region.range.begin >= at && region.range.end > region.range.begin,
                 "regions ascend and hold something");
    at = region.range.end;
    char line[80];
    std::snprintf(line, sizeof(line), "0x%llx 0x%llx ",
                  static_cast<unsigned long long>(address_of(region.range.begin).value),
                  static_cast<unsigned long long>(address_of(region.range.end).value));
    printed += line + std::string(to_string(region.state)) + "\n";
  }
  const auto again = RegionTable::parse(printed);
  fuzz_require(again && std::ranges::equal(again->regions(), table->regions()),
               "a table comes back as it was");
}

std::vector<std::vector<std::byte>> region_seeds() {
  return {bytes_of_text("0x0 0x10000000 window\n0x10000000 0x20000000 held\n0x20000000 0x20001000 "
                        "hole\n0x20001000 0x28000000 partial\n0x28000000 0x30000000 released\n"
                        "0x30000000 0x42000000 save-area\n"),
          bytes_of_text("0 fffffffffffff000 held")};
}

constexpr std::size_t kPortion = 1000, kPortions = 3;
constexpr std::uint64_t kSent = 4096 + kPortions * (16 + kPortion);

class Nowhere : public DumpSink {
 public:
  bool can_rewrite() const override { return false; }
  Result<> write_data(std::uint64_t, std::span<const std::byte>) override { return {}; }
  Result<> write_table(std::uint64_t, std::span<const std::byte>) override { return {}; }
  Result<> make_durable() override { return {}; }
  Result<> publish(std::uint64_t) override { return {}; }
  std::string location() const override { return "nowhere"; }
};

/// The input is all that the peer ever says.
void read_acks(std::span<const std::byte> input) {
  const std::string path = scratch().put("acks", input);
  auto fd = open_file(path, O_RDONLY);
  if (!fd) std::abort();
  AckedSink sink(std::make_unique<Nowhere>(), std::move(*fd), {});
  const std::vector<std::byte> portion(kPortion);
  for (std::size_t i = 0; i < kPortions; ++i)
    fuzz_require(sink.write_data(i * kPortion, portion).has_value(), "writing does not wait");
  if (!sink.make_durable()) return;
  fuzz_require(text_of(input).find(std::to_string(kSent)) != std::string_view::npos,
               "nothing is durable that the peer has not acknowledged");
}

std::vector<std::vector<std::byte>> ack_seeds() {
  return {bytes_of_text("ack 0\nack 4096\nack 5000\nack " + std::to_string(kSent) + "\n"),
          bytes_of_text("ack " + std::to_string(kSent) + "\nack 1\n"),
          bytes_of_text("ack " + std::string(200, '0') + std::to_string(kSent) + "\n")};
}

void read_registry(std::span<const std::byte> input) {
  scratch().put("id.saves", input);
  const SaveRegistry registry(scratch().path());
  const auto known = registry.journals("id");
  if (!known) return;
  for (const std::string& journal : *known)
    fuzz_require(journal.starts_with('/') && journal.find('\n') == std::string::npos,
                 "a journal has an absolute path");
  const std::string newest = "/new/.vmcore.hadump-journal";
  fuzz_require(registry.add("id", newest).has_value(), "a save can be noted");
  auto expected = *known;
  std::erase(expected, newest);
  expected.insert(expected.begin(), newest);
  fuzz_require(*registry.journals("id") == expected, "noting a save loses no other");
}

std::vector<std::vector<std::byte>> registry_seeds() {
  return {bytes_of_text("/var/crash/.vmcore.hadump-journal\n/mnt/b/.vmcore.hadump-journal\n"),
          bytes_of_text("/new/.vmcore.hadump-journal\nrelative\n\n/torn")};
}

/// The input is a dump, or, where it does not begin as one does, 4 bytes that say how long the
/// first of two parts is, and the parts.
void check_tables(std::span<const std::byte> input) {
  std::vector<std::span<const std::byte>> parts{input};
  if (input.size() > 4 && input[0] != std::byte{'K'}) {
    std::uint32_t length = 0;
    std::memcpy(&length, input.data(), sizeof(length));
    input = input.subspan(sizeof(length));
    const std::size_t first = length % (input.size() + 1);
    parts = {input.first(first), input.subspan(first)};
  }
  DumpFiles checked, opened;
  for (const auto part : parts)
    for (DumpFiles* files : {&checked, &opened})
      files->push_back(
          std::make_unique<MemoryFile>(std::vector<std::byte>(part.begin(), part.end())));
  const auto source = open_vmcore(std::move(opened));
  if (!source) return;
  const auto found = check_kdump_tables(checked, **source, {});
  if (!found) return;
  fuzz_require(found->texts.size() == std::min<std::uint64_t>(found->problems, 20),
               "the first problems have a text");
}

std::vector<std::vector<std::byte>> table_check_seeds() {
  KdumpBuilder dump(40000);
  dump.add_page(1, 1).add_page(2, 2).add_page(3, 0).add_left_out(6).add_page(39999, 8);
  dump.add_descriptor(7, {}).add_descriptor(8, {~std::uint64_t{0}, kFrameSize, 0, 0});
  KdumpBuilder low = dump;
  low.sub_header.split = 1;
  low.sub_header.start_pfn_64 = 0;
  low.sub_header.end_pfn_64 = 3;
  KdumpBuilder high = low;
  high.sub_header.start_pfn_64 = 3;
  high.sub_header.end_pfn_64 = 40000;
  const std::vector<std::byte> first = low.build(), second = high.build();
  std::vector<std::byte> both(4);
  const auto length = static_cast<std::uint32_t>(first.size());
  std::memcpy(both.data(), &length, sizeof(length));
  both.insert(both.end(), first.begin(), first.end());
  both.insert(both.end(), second.begin(), second.end());
  return {dump.build(), high.build(), both};
}

void read_node(std::span<const std::byte> input) {
  const auto dump = parse_dump_node(input);
  if (!dump) return;
  const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  fuzz_require(dump->dump_id.empty() ||
                   (dump->dump_id.size() == 32 && std::ranges::all_of(dump->dump_id, is_hex)),
               "an id is usable as a file's name");
  fuzz_require(dump->mode.empty() || dump->mode == "added" || dump->mode == "registered",
               "a mode is one of two");
}

std::vector<std::vector<std::byte>> node_seeds() {
  std::vector<std::byte> tree(4096);
  const char id[16] = {'\x01', '\xab'};
  const bool made =
      fdt_create(tree.data(), static_cast<int>(tree.size())) == 0 &&
      fdt_finish_reservemap(tree.data()) == 0 && fdt_begin_node(tree.data(), "") == 0 &&
      fdt_begin_node(tree.data(), "dump-kernel") == 0 &&
      fdt_property(tree.data(), "hadump,dump-id", id, sizeof(id)) == 0 &&
      fdt_property_string(tree.data(), "hadump,mode", "registered") == 0 &&
      fdt_property_u64(tree.data(), "hadump,crash-time", 1'000'000'000) == 0 &&
      fdt_property_u32(tree.data(), "hadump,boots", 2) == 0 && fdt_end_node(tree.data()) == 0 &&
      fdt_end_node(tree.data()) == 0 && fdt_finish(tree.data()) == 0;
  if (!made) std::abort();
  tree.resize(fdt_totalsize(tree.data()));
  return {tree};
}

}  // namespace

const FuzzTarget kFuzzWaitingDump = {"waiting_dump", read_node, node_seeds};
const FuzzTarget kFuzzJournal = {"journal", read_journal_file, journal_seeds};
const FuzzTarget kFuzzRegions = {"regions", read_regions, region_seeds};
const FuzzTarget kFuzzAcks = {"acks", read_acks, ack_seeds};
const FuzzTarget kFuzzRegistry = {"registry", read_registry, registry_seeds};
const FuzzTarget kFuzzTableCheck = {"table_check", check_tables, table_check_seeds};

}  // namespace hadump
