// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/earlier_save.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>

#include "core/base/printable.h"
#include "core/base/text.h"
#include "core/base/trusted_path.h"
#include "core/save/gone_frames.h"
#include "core/vmcore/byte_file.h"
#include "core/vmcore/open.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

// Each link is a save that was cut short and could not be continued in place.
constexpr std::size_t kMaxEarlierSaves = 32;

bool is_known(const std::vector<EarlierSave>& saves, const std::string& journal) {
  return std::any_of(saves.begin(), saves.end(),
                     [&](const EarlierSave& save) { return save.journal.path() == journal; });
}

/// The target's name, from that of its partial file: NAME-incomplete or NAME-incomplete.N.
std::string without_mark(const std::string& path) {
  constexpr std::string_view kMark = "-incomplete";
  const std::size_t at = path.rfind(kMark);
  if (at == std::string::npos) return path;
  std::string_view number = std::string_view(path).substr(at + kMark.size());
  if (!number.empty()) {
    if (!number.starts_with('.')) return path;
    number.remove_prefix(1);
    if (!parse_decimal(number)) return path;
  }
  return path.substr(0, at);
}

/// ".NAME.hadump-journal", or that with ".N", for a dump of the name NAME.
bool is_journal_name(const std::string& name, const fs::path& dump) {
  const std::string plain = journal_path(dump.filename().string());
  if (!name.starts_with(plain)) return false;
  const std::string_view number = std::string_view(name).substr(plain.size());
  return number.empty() || (number.starts_with('.') && parse_decimal(number.substr(1)));
}

/// Whether the names are of a dump's files that the journal can be about. @return which is not.
std::optional<std::string> misfit(const HeldFile& journal, const JournalContent& content) {
  const fs::path first = content.finals.front();
  if (!is_journal_name(journal.name(), first)) return first.string();
  for (std::size_t i = 0; i < content.finals.size(); ++i) {
    const fs::path final_path = content.finals[i];
    if (!final_path.is_absolute() || final_path.lexically_normal() != final_path ||
        !final_path.has_filename())
      return content.finals[i];
    if (content.files[i] == content.finals[i] ||
        without_mark(content.files[i]) != content.finals[i])
      return content.files[i];
  }
  return std::nullopt;
}

/// To read. In a directory that is sticky, anybody can put anything under a name that is free.
Result<UniqueFd> open_ours(const HeldFile& file) {
  auto fd = file.open(O_RDONLY | O_NONBLOCK);
  if (!fd) return fd;
  if (auto ours = check_trusted_file(fd->get(), file.path()); !ours) return fail(std::move(ours));
  return fd;
}

bool is_ours(const HeldFile& file) {
  return open_ours(file).has_value();
}

/// Opens all of the dump's stripes that are in other directories than the journal.
Result<> hold_names(EarlierSave& save) {
  const fs::path directory = fs::path(save.content.finals.front()).parent_path();
  for (std::size_t i = 0; i < save.content.finals.size(); ++i) {
    const fs::path path = save.content.finals[i];
    const std::string name = path.filename().string();
    // Another stripe may be on another disk.
    auto file = path.parent_path() == directory ? Result<HeldFile>(save.journal.beside(name))
                                                : hold_trusted(path.string());
    if (!file) return fail(std::move(file), save.journal.path());
    save.finals.push_back(std::move(*file));
    save.files.push_back(
        save.finals.back().beside(fs::path(save.content.files[i]).filename().string()));
  }
  save.content.files = paths_of(save.files);
  save.content.finals = paths_of(save.finals);
  return {};
}

/// Where a file system cannot rename without replacing (HeldFile::rename_to_new()), a file that was
/// cut short while it got its final name has both. What is not called complete keeps its partial
/// one: to complete it again costs nothing.
Result<> drop_second_names(const EarlierSave& save) {
  for (std::size_t i = 0; i < save.files.size(); ++i) {
    // Not open_ours(): with two names a file is nobody's.
    const auto fd = save.files[i].open(O_RDONLY | O_NONBLOCK);
    if (!fd || !save.finals[i].is(fd->get())) continue;
    const HeldFile& second = save.content.published ? save.files[i] : save.finals[i];
    if (auto removed = second.remove(); !removed) return removed;
    if (auto synced = second.sync_directory(); !synced) return synced;
  }
  return {};
}

}  // namespace

Result<EarlierSave> bind_names(const HeldFile& journal, JournalContent content) {
  if (const auto name = misfit(journal, content))
    return fail(ErrorCode::kBadData, fmt::format("{} names a file that it cannot be about: {}",
                                                 journal.path(), printable(*name)));
  EarlierSave save{journal, std::move(content), {}, {}};
  auto held = hold_names(save);
  if (!held && held.error().code() != ErrorCode::kNotFound) return fail(std::move(held));
  if (!held) save.files = save.finals = {};
  return save;
}

Result<> settle_names(EarlierSave& save) {
  JournalContent& content = save.content;
  const auto moved = [&](std::size_t i) {
    return !is_ours(save.files[i]) && is_ours(save.finals[i]);
  };
  // Before the files get their final names everything is noted as durable. Where it is not, it was
  // not us who renamed them.
  FrameSet rest = content.frames;
  rest.erase(content.durable);
  if (content.published && !rest.empty())
    return fail(ErrorCode::kBadData, "a dump is called complete of which not all is durable");
  if (auto dropped = drop_second_names(save); !dropped) return dropped;
  bool all_moved = rest.empty() && !save.files.empty();
  for (std::size_t i = 0; i < save.files.size(); ++i) all_moved = all_moved && moved(i);
  if (content.published || all_moved) {
    content.published = true;
    content.files = content.finals;
    save.files = save.finals;
    return {};
  }
  for (std::size_t i = 0; i < save.files.size(); ++i) {
    if (!moved(i)) continue;
    if (auto renamed = save.finals[i].rename_to(save.files[i].name()); !renamed) return renamed;
    if (auto synced = save.files[i].sync_directory(); !synced) return synced;
  }
  return {};
}

Result<std::vector<EarlierSave>> read_earlier_saves(const std::string& path,
                                                    const std::string& dump_id) {
  auto journal = hold_trusted(path);
  if (!journal && journal.error().code() == ErrorCode::kNotFound) return {};
  if (!journal) return fail(std::move(journal));
  return read_earlier_saves(*journal, dump_id);
}

namespace {

using Settle = Result<>(EarlierSave&);
using Look = Result<>(const HeldFile& journal);

Result<> take_as_it_is(const HeldFile&) {
  return {};
}

/// @param look  at each journal, before it is read.
Result<std::vector<EarlierSave>> read_saves(const HeldFile& journal, const std::string& dump_id,
                                            Look& look, Settle& settle) {
  std::vector<EarlierSave> saves;
  std::vector<std::string> todo{journal.path()};
  while (!todo.empty()) {
    const std::string next = todo.back();
    todo.pop_back();
    if (is_known(saves, next)) continue;
    const fs::path path = next;
    auto file = path.parent_path() == fs::path(journal.path()).parent_path()
                    ? Result<HeldFile>(journal.beside(path.filename().string()))
                    : hold_trusted(next);
    auto content = file.and_then([&](const HeldFile& held) {
      return look(held).and_then([&] { return read_journal(held); });
    });
    // Whether it is needed is for the caller to find out, from what the others have.
    if (!content && content.error().code() == ErrorCode::kNotFound) continue;
    if (!content) return fail(std::move(content));
    if (content->dump_id != dump_id)
      return fail(ErrorCode::kBadData,
                  fmt::format("{} belongs to another unfinished dump, {}; choose another target",
                              next, content->dump_id));
    auto save = bind_names(*file, std::move(*content));
    if (!save) return fail(std::move(save));
    if (auto settled = settle(*save); !settled) return fail(std::move(settled), next);
    if (saves.size() == kMaxEarlierSaves)
      return fail(ErrorCode::kBadData, journal.path() + ": too many interrupted saves");
    todo.insert(todo.end(), save->content.with.begin(), save->content.with.end());
    saves.push_back(std::move(*save));
  }
  return saves;
}

Result<> find_names(EarlierSave& save) {
  for (std::size_t i = 0; i < save.files.size(); ++i)
    if (!is_ours(save.files[i]) && is_ours(save.finals[i])) save.files[i] = save.finals[i];
  save.content.files = paths_of(save.files);
  return {};
}

}  // namespace

Result<std::vector<EarlierSave>> read_earlier_saves(const HeldFile& journal,
                                                    const std::string& dump_id) {
  return read_saves(journal, dump_id, check_nobody_saves, settle_names);
}

Result<std::vector<EarlierSave>> look_at_saves(const HeldFile& journal,
                                               const std::string& dump_id) {
  return read_saves(journal, dump_id, take_as_it_is, find_names);
}

void add_earlier_saves(std::vector<EarlierSave>& saves, const std::vector<EarlierSave>& more) {
  for (const EarlierSave& save : more)
    if (!is_known(saves, save.journal.path())) saves.push_back(save);
}

Result<> check_its_files(const EarlierSave& save) {
  if (save.files.empty())
    return fail(ErrorCode::kNotFound, "a directory of " + save.content.files.front());
  for (const HeldFile& file : save.files)
    if (auto fd = open_ours(file); !fd) return fail(std::move(fd));
  return {};
}

std::string journal_of(const std::string& given) {
  std::string named = std::filesystem::absolute(given).string();
  if (named.ends_with(".hadump-journal")) return named;
  return journal_path(without_mark(named));
}

namespace {

Result<std::unique_ptr<VmcoreSource>> open_files_of(const EarlierSave& save) {
  std::vector<std::unique_ptr<ByteFile>> files;
  for (const HeldFile& file : save.files) {
    auto opened = open_ours(file).and_then(
        [&](UniqueFd fd) { return OpenedFile::take(std::move(fd), file.path()); });
    if (!opened) return fail(std::move(opened));
    files.push_back(std::move(*opened));
  }
  return open_vmcore(std::move(files));
}

}  // namespace

Result<std::unique_ptr<VmcoreSource>> merge_with_earlier(std::unique_ptr<VmcoreSource> current,
                                                         FrameSet held,
                                                         const std::vector<EarlierSave>& earlier,
                                                         const FrameSet& gone) {
  FrameSet known = held;
  FrameSet lost = gone;
  std::vector<MergedVmcore::Part> parts;
  parts.push_back({std::move(current), std::move(held)});
  for (const EarlierSave& save : earlier) {
    FrameSet wanted = save.content.durable;
    // Not every format can say that a page is lost: an ELF file has zeros there.
    wanted.erase(save.content.lost);
    wanted.erase(known);
    lost.insert(save.content.lost);
    if (wanted.empty()) continue;
    auto source = open_files_of(save);
    if (!source)
      return fail(std::move(source), "memory released earlier is in " + save.content.files.front());
    parts.push_back({std::move(*source), wanted});
    known.insert(wanted);
  }
  lost.erase(known);
  if (!lost.empty()) parts.push_back({std::make_unique<GoneFrames>(lost), lost});
  return std::make_unique<MergedVmcore>(std::move(parts));
}

}  // namespace hadump
