// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/xen_core_format.h"

#include <elf.h>
#include <sys/procfs.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "core/base/elf_header.h"
#include "core/vmcore/xen_core_layout.h"

namespace hadump {
namespace {

// Notes of .note.Xen (xen/include/public/elfnote.h).
constexpr Elf64_Word kNoteNone = 0x2000000, kNoteHeader = 0x2000001, kNoteFormat = 0x2000003;
constexpr std::uint64_t kMagic = 0xf00febed;  // XC_CORE_MAGIC: of a PV domain
constexpr std::uint64_t kFormatVersion = 1;
constexpr std::size_t kEntriesAtOnce = 16384;

constexpr std::array<std::byte, kFrameSize> kZeroPage{};

template <typename T>
void put(std::vector<std::byte>& out, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_note(std::vector<std::byte>& out, Elf64_Word type, std::span<const std::uint64_t> words) {
  put(out, Elf64_Nhdr{4, static_cast<Elf64_Word>(words.size_bytes()), type});
  for (const char c : {'X', 'e', 'n', '\0'}) put(out, c);
  for (const std::uint64_t word : words) put(out, word);
}

// A vcpu_guest_context of what a PRSTATUS note says; all else is 0.
void put_context(std::vector<std::byte>& out, const elf_prstatus& status) {
  std::array<std::uint64_t, sizeof(status.pr_reg) / 8> registers;
  std::memcpy(registers.data(), &status.pr_reg, sizeof(status.pr_reg));
  const std::size_t at = out.size();
  out.resize(at + kXenContextBytes);
  const auto set = [&](std::size_t offset, std::size_t index, std::size_t bytes) {
    std::memcpy(out.data() + at + offset, &registers[index], bytes);
  };
  for (std::size_t i = 0; i < kXenGeneralRegisters; ++i) set(kXenGeneralOffset + 8 * i, i, 8);
  for (const XenRegister& one : kXenRegisters) set(one.offset, one.in_note, one.bytes);
  for (const std::size_t offset : {kXenGsBaseKernel, kXenGsBaseUser}) set(offset, kNoteGsBase, 8);
}

std::vector<std::byte> contexts_of(const VmcoreLayout& layout) {
  std::vector<std::byte> contexts;
  for (const ElfNote* note : cpu_notes(layout)) {
    elf_prstatus status{};
    std::memcpy(&status, note->desc.data(), std::min(note->desc.size(), sizeof(status)));
    put_context(contexts, status);
  }
  return contexts;
}

// What may have a page: of what the source does not have there may be any amount, anywhere.
FrameSet obtainable(const FormatInput& input) {
  FrameSet frames = input.frames;
  frames.erase(input.absent);
  frames.erase(input.lost);
  return frames;
}

}  // namespace

XenCoreFormat::XenCoreFormat(const VmcoreLayout& layout, std::uint64_t frames,
                             std::vector<FormatOutput> outputs)
    : outputs_(std::move(outputs)), frames_(frames), vcpus_(contexts_of(layout)) {
  // Where they are does not change the head's size.
  table_ = round_up(head(false).size(), kFrameSize);
  pages_ = round_up(table_ + frames_ * sizeof(XenP2mEntry), kFrameSize);
  data_end_ = durable_end_ = pages_;
}

// Everything before the table: file header, section headers, names, notes, vCPUs.
std::vector<std::byte> XenCoreFormat::head(bool complete) const {
  std::vector<std::byte> notes;
  put_note(notes, kNoteNone, {});
  put_note(notes, kNoteHeader,
           std::array{kMagic, std::uint64_t{vcpus_.size() / kXenContextBytes}, frames_,
                      std::uint64_t{kFrameSize}});
  put_note(notes, kNoteFormat, std::array{kFormatVersion});

  struct Section {
    const char* name;
    Elf64_Word type;
    std::uint64_t offset, bytes, entry_bytes;
  };
  constexpr std::size_t kSections = 6;  // the first one, which is empty, included
  const std::uint64_t notes_at = sizeof(Elf64_Ehdr) + kSections * sizeof(Elf64_Shdr);
  const std::uint64_t vcpus_at = notes_at + notes.size();
  const std::uint64_t names_at = vcpus_at + vcpus_.size();
  const Section sections[] = {
      {kXenNotes, SHT_NOTE, notes_at, notes.size(), 0},
      {kXenVcpus, SHT_PROGBITS, vcpus_at, vcpus_.size(), kXenContextBytes},
      {kXenP2m, SHT_PROGBITS, table_, frames_ * sizeof(XenP2mEntry), sizeof(XenP2mEntry)},
      {kXenPages, SHT_PROGBITS, pages_, frames_ << kFrameShift, kFrameSize}};

  Elf64_Ehdr header = make_elf_header(ET_CORE, 0);
  header.e_phoff = 0;
  header.e_shoff = sizeof(header);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = kSections;
  header.e_shstrndx = kSections - 1;
  header.e_flags = complete ? 0 : kElfIncomplete;
  std::vector<std::byte> head;
  put(head, header);
  put(head, Elf64_Shdr{});
  std::string names(1, '\0');
  const auto put_section = [&](const Section& section) {
    Elf64_Shdr entry{};
    entry.sh_name = static_cast<Elf64_Word>(names.size());
    entry.sh_type = section.type;
    entry.sh_offset = section.offset;
    entry.sh_size = section.bytes;
    entry.sh_entsize = section.entry_bytes;
    entry.sh_addralign = 8;
    names += std::string(section.name) + '\0';
    put(head, entry);
  };
  for (const Section& section : sections) put_section(section);
  constexpr const char* kNames = ".shstrtab";
  put_section({kNames, SHT_STRTAB, names_at, names.size() + std::strlen(kNames) + 1, 0});
  head.insert(head.end(), notes.begin(), notes.end());
  head.insert(head.end(), vcpus_.begin(), vcpus_.end());
  for (const char c : names) put(head, c);
  return head;
}

Result<> XenCoreFormat::put_table(std::uint64_t offset, std::span<const std::byte> bytes) {
  bytes_written_ += bytes.size();
  return outputs_.front().sink->write_table(offset, bytes);
}

Result<> XenCoreFormat::write_entries(FrameRange range, bool present) {
  std::vector<XenP2mEntry> entries;
  for (Gfn gfn = range.begin; gfn < range.end;) {
    const Gfn first = gfn;
    entries.clear();
    for (; gfn < range.end && entries.size() < kEntriesAtOnce; ++gfn.value)
      entries.push_back(present ? XenP2mEntry{gfn.value, gfn.value}
                                : XenP2mEntry{kXenNoPfn, kXenNoPfn});
    if (auto done = put_table(table_ + first.value * sizeof(XenP2mEntry),
                              std::as_bytes(std::span(entries)));
        !done)
      return done;
  }
  return {};
}

Result<> XenCoreFormat::begin() {
  if (!outputs_.front().sink->can_rewrite()) return {};
  if (auto done = put_table(0, head(false)); !done) return done;
  return write_entries({Gfn{0}, Gfn{frames_}}, false);
}

// Nothing is written where nothing ever was; where a failed attempt may have left bytes, zeros.
Result<> XenCoreFormat::put_zeros(FrameRange range) {
  for (Gfn gfn = range.begin; gfn < range.end && gfn < attempted_end_; ++gfn.value)
    if (auto put = outputs_.front().sink->write_data(offset_of(gfn), kZeroPage); !put) return put;
  return {};
}

Result<> XenCoreFormat::append_run(Chunk& chunk, std::span<const PageOutcome> pages, Gfn first) {
  const FrameRange range{first, Gfn{first.value + pages.size()}};
  if (pages.front().fate == PageFate::kData) {
    attempted_end_ = std::max(attempted_end_, range.end);
    auto written = put_pages(*outputs_.front().sink, chunk, pages, offset_of(first));
    if (!written) return fail(std::move(written));
    bytes_written_ += *written;
    data_end_ = std::max(data_end_, offset_of(range.end));
  } else {
    fill_room(chunk);
    if (auto done = put_zeros(range); !done) return done;
  }
  pending_.insert(range);
  return {};
}

Result<> XenCoreFormat::append(Chunk& chunk) {
  const auto pages = chunk.outcomes();
  for (std::size_t i = 0; i < pages.size();) {
    const PageFate fate = pages[i].fate;
    std::size_t end = i;
    while (end < pages.size() && pages[end].fate == fate) ++end;
    if (fate == PageFate::kData || fate == PageFate::kZero)
      if (auto done =
              append_run(chunk, pages.subspan(i, end - i), Gfn{chunk.frames.begin.value + i});
          !done)
        return done;
    i = end;
  }
  return {};
}

// A hole at the end of the file is just its end, and the frames in it look cut off.
Result<> XenCoreFormat::fill_to(std::uint64_t end) {
  if (data_end_ >= end) return {};
  auto put = outputs_.front().sink->write_data(end - kFrameSize, kZeroPage);
  if (!put) return put;
  data_end_ = end;
  bytes_written_ += kZeroPage.size();
  return {};
}

Result<> XenCoreFormat::checkpoint() {
  DumpSink& sink = *outputs_.front().sink;
  if (!sink.can_rewrite()) {
    present_.insert(std::exchange(pending_, {}));
    durable_end_ = data_end_;
    return sink.make_durable();
  }
  if (!pending_.empty())
    if (auto done = fill_to(offset_of(pending_.ranges().back().end)); !done) return done;
  if (auto done = sink.make_durable(); !done) return done;
  is_tabled_ = true;
  for (FrameRange range : pending_.ranges())
    if (auto done = write_entries(range, true); !done) return done;
  if (auto done = sink.make_durable(); !done) return done;
  pending_ = {};
  is_tabled_ = false;
  durable_end_ = data_end_;
  return {};
}

Result<> XenCoreFormat::rollback() {
  DumpSink& sink = *outputs_.front().sink;
  if (!sink.can_rewrite()) return fail(ErrorCode::kUnsupported, "a pipe cannot be rewritten");
  if (auto back = sink.write_data(durable_end_, {}); !back) return back;
  if (is_tabled_) {
    // Before anything else is written where this table says that there are pages.
    for (FrameRange range : pending_.ranges())
      if (auto done = write_entries(range, false); !done) return done;
    if (auto done = sink.make_durable(); !done) return done;
    is_tabled_ = false;
  }
  pending_ = {};
  data_end_ = durable_end_;
  return {};
}

// A sink that cannot rewrite gets the whole table at once, after the pages.
Result<> XenCoreFormat::write_whole_table() {
  Gfn at{0};
  for (FrameRange range : present_.ranges()) {
    if (auto done = write_entries({at, range.begin}, false); !done) return done;
    if (auto done = write_entries(range, true); !done) return done;
    at = range.end;
  }
  return write_entries({at, Gfn{frames_}}, false);
}

Result<> XenCoreFormat::finish(bool complete, unsigned /*dump_level*/) {
  const std::uint64_t end = offset_of(Gfn{frames_});
  if (auto done = fill_to(end); !done) return done;
  if (!outputs_.front().sink->can_rewrite())
    if (auto done = write_whole_table(); !done) return done;
  if (auto done = put_table(0, head(complete)); !done) return done;
  return outputs_.front().sink->publish(end);
}

Result<std::unique_ptr<DumpFormat>> make_xen_core_format(FormatInput input,
                                                         std::vector<FormatOutput> outputs) {
  const FrameSet frames = obtainable(input);
  const std::uint64_t end = frames.empty() ? 0 : frames.ranges().back().end.value;
  if (end > frames.frames() + XenCoreFormat::kMaxHoles)
    return fail(ErrorCode::kUnsupported,
                "its memory has holes of more than 4 GiB, for which the format xen would need room "
                "in its table; use kdump");
  return std::make_unique<XenCoreFormat>(*input.layout, end, std::move(outputs));
}

}  // namespace hadump
