// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "core/base/file.h"
#include "core/base/file_lock.h"
#include "core/base/text.h"
#include "core/base/trusted_path.h"
#include "core/vmcore/page_filter.h"

namespace hadump {
namespace {

constexpr std::string_view kFirstLine = "hadump-journal 1";
// One line of some 40 bytes for each range of each portion; 1 TiB in portions of 256 MiB with a
// hundred holes is about 200 KiB.
constexpr std::uint64_t kMaxJournal = 256_MiB;

std::string journal_name(const std::string& target_name) {
  return "." + target_name + ".hadump-journal";
}

std::string range_lines(const char* word, const FrameSet& frames) {
  std::string lines;
  for (FrameRange range : frames.ranges())
    lines += fmt::format("{} {:#x} {:#x}\n", word, range.begin.value, range.end.value);
  return lines;
}

std::string name_lines(const char* word, const std::vector<std::string>& names) {
  std::string lines;
  for (const std::string& name : names) lines += fmt::format("{} {}\n", word, name);
  return lines;
}

std::string step_lines(const FrameSet& frames, unsigned level) {
  return fmt::format("level {}\n", level) + range_lines("durable", frames);
}

std::string durable_lines(const JournalContent& content) {
  std::string lines;
  for (const LevelStep& step : content.steps) lines += step_lines(step.frames, step.level);
  return lines;
}

std::string head_lines(const JournalContent& content) {
  return fmt::format("{}\ndump {}\nsettings {}\n", kFirstLine, content.dump_id, content.settings) +
         name_lines("with", content.with) + name_lines("file", content.files) +
         name_lines("final", content.finals) + range_lines("frames", content.frames) + "begin\n" +
         range_lines("lost", content.lost) + durable_lines(content);
}

std::optional<FrameRange> parse_range(std::string_view text) {
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  const auto begin = parse_hex(text.substr(0, blank));
  const auto end = parse_hex(text.substr(blank + 1));
  if (!begin || !end || *begin >= *end) return std::nullopt;
  return FrameRange{Gfn{*begin}, Gfn{*end}};
}

bool insert_range(std::string_view text, FrameSet& into) {
  const auto range = parse_range(text);
  if (range) into.insert(*range);
  return range.has_value();
}

bool take_durable(std::string_view text, JournalContent& content) {
  if (content.steps.empty()) content.steps.emplace_back();
  return insert_range(text, content.durable) && insert_range(text, content.steps.back().frames);
}

bool take_level(std::string_view text, JournalContent& content) {
  const auto level = parse_decimal(text);
  if (!level || *level > kMaxDumpLevel) return false;
  if (content.steps.empty() || content.steps.back().level != *level)
    content.steps.push_back({static_cast<unsigned>(*level), {}});
  return true;
}

// Takes one line in. False for a line that is none of ours: a torn one.
bool take_line(std::string_view line, JournalContent& content, bool& begun) {
  const std::size_t blank = line.find(' ');
  const std::string_view word = line.substr(0, blank);
  const std::string_view rest =
      blank == std::string_view::npos ? std::string_view{} : line.substr(blank + 1);
  if (word == "begin") return begun = true;
  if (word == "durable") return take_durable(rest, content);
  if (word == "level") return take_level(rest, content);
  if (word == "lost") return insert_range(rest, content.lost);
  if (word == "frames") return insert_range(rest, content.frames);
  if (word == "dump") content.dump_id = rest;
  if (word == "settings") content.settings = rest;
  if (word == "file") content.files.emplace_back(rest);
  if (word == "with") content.with.emplace_back(rest);
  if (word == "final") content.finals.emplace_back(rest);
  if (word == "published") content.published = true;
  return word == "dump" || word == "settings" || word == "file" || word == "final" ||
         word == "with" || word == "published";
}

/// Takes the name, unless a save that is at it has it: whoever takes it holds the lock of what had
/// it before, and of the new file before that has the name.
Result<UniqueFd> take_name(const HeldFile& file, const std::string& head) {
  for (;;) {
    auto old = file.open(O_RDWR | O_NONBLOCK);
    const bool is_new = !old && old.error().code() == ErrorCode::kNotFound;
    if (!old && !is_new) return old;
    if (old) {
      if (auto free = lock_for_writing(old->get(), file.path()); !free)
        return fail(std::move(free));
      if (!file.is(old->get())) continue;  // Somebody was faster.
    }
    auto fd = file.replace_locked(head, 0600, is_new);
    if (fd || !is_new || fd.error().os_errno() != EEXIST) return fd;
  }
}

}  // namespace

Result<Journal> Journal::create(const HeldFile& file, const JournalContent& start) {
  auto journal = reopen(file, start);
  if (!journal) return fail(std::move(journal), "starting the journal");
  return journal;
}

Result<Journal> Journal::reopen(const HeldFile& file, const JournalContent& content) {
  // A torn tail would make what follows it unreadable: write anew what was understood.
  if (content.published)
    return fail(ErrorCode::kBadData, file.path() + ": that dump is already complete");
  auto fd = take_name(file, head_lines(content));
  if (!fd) return fail(std::move(fd));
  return Journal(file, std::move(*fd));
}

Result<> check_nobody_saves(const HeldFile& journal) {
  const auto fd = journal.open(O_RDONLY | O_NONBLOCK);
  if (!fd) return {};  // Reading it says why.
  // Anybody can keep a file of his own locked.
  if (auto ours = check_trusted_file(fd->get(), journal.path()); !ours) return ours;
  return check_not_written(fd->get(), journal.path());
}

Result<> Journal::append(const std::string& lines) {
  const auto bytes = std::as_bytes(std::span(lines.data(), lines.size()));
  if (auto written = write_all(fd_.get(), bytes, path()); !written) return written;
  if (::fsync(fd_.get()) != 0) return fail_os(errno, "syncing " + path());
  return {};
}

Result<> Journal::add_durable(const FrameSet& frames, const FrameSet& lost, unsigned level) {
  // Lost first: torn between the two, the frames are written again, and lost again.
  return append(range_lines("lost", lost) + step_lines(frames, level));
}

Result<> Journal::set_published() {
  return append("published\n");
}

Result<> Journal::remove() {
  if (auto removed = file_.remove(); !removed) return removed;
  return file_.sync_directory();
}

Result<JournalContent> read_journal(const HeldFile& file) {
  auto text = read_trusted_text_file(file, kMaxJournal);
  if (!text) return fail(std::move(text));
  JournalContent content;
  bool begun = false;
  bool first = true;
  for (std::string_view rest = *text;;) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;  // No newline: torn.
    const std::string_view line = rest.substr(0, end);
    if (first ? line != kFirstLine : !take_line(line, content, begun)) break;
    first = false;
    rest.remove_prefix(end + 1);
  }
  // Without files a dump would be whole that nobody has.
  if (!begun || content.files.empty() || content.files.size() != content.finals.size())
    return fail(ErrorCode::kBadData, file.path() + " is not a hadump save journal");
  return content;
}

std::string journal_path(const std::string& target) {
  const std::filesystem::path path(target);
  return (path.parent_path() / journal_name(path.filename().string())).string();
}

HeldFile journal_beside(const HeldFile& target) {
  return target.beside(journal_name(target.name()));
}

}  // namespace hadump
