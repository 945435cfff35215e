// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/earlier_save.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "core/base/file.h"
#include "core/base/printable.h"
#include "core/base/text.h"
#include "core/base/trusted_path.h"
#include "core/save/gone_frames.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

// Each link is a save that was cut short and could not be continued in place.
constexpr std::size_t kMaxEarlierSaves = 32;

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

bool is_known(const std::vector<EarlierSave>& saves, const std::string& journal) {
  return std::any_of(saves.begin(), saves.end(),
                     [&](const EarlierSave& save) { return save.journal == journal; });
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

}  // namespace

Result<> bind_names(const std::string& journal, JournalContent& content) {
  const auto misfit = [&](const std::string& name) {
    return fail(ErrorCode::kBadData, fmt::format("{} names a file that it cannot be about: {}",
                                                 journal, printable(name)));
  };
  const fs::path directory = fs::path(journal).parent_path();
  const fs::path first = content.finals.front();
  if (!is_journal_name(fs::path(journal).filename().string(), first)) return misfit(first.string());
  for (std::size_t i = 0; i < content.finals.size(); ++i) {
    const fs::path final_path = content.finals[i];
    if (!final_path.is_absolute() || final_path.lexically_normal() != final_path ||
        !final_path.has_filename())
      return misfit(content.finals[i]);
    if (content.files[i] == content.finals[i] ||
        without_mark(content.files[i]) != content.finals[i])
      return misfit(content.files[i]);
    if (final_path.parent_path() == first.parent_path()) {
      content.finals[i] = (directory / final_path.filename()).string();
      content.files[i] = (directory / fs::path(content.files[i]).filename()).string();
      continue;
    }
    // Another stripe, on another disk.
    if (auto way = walk_trusted(final_path.parent_path().string()); !way)
      return fail(std::move(way), journal);
  }
  return {};
}

Result<> settle_names(JournalContent& content) {
  const auto moved = [&](std::size_t i) {
    return !exists(content.files[i]) && exists(content.finals[i]);
  };
  // Before the files get their final names everything is noted as durable. Where it is not, it was
  // not us who renamed them.
  FrameSet rest = content.frames;
  rest.erase(content.durable);
  if (content.published && !rest.empty())
    return fail(ErrorCode::kBadData, "a dump is called complete of which not all is durable");
  bool all_moved = rest.empty();
  for (std::size_t i = 0; i < content.files.size(); ++i) all_moved = all_moved && moved(i);
  if (content.published || all_moved) {
    content.published = true;
    content.files = content.finals;
    return {};
  }
  for (std::size_t i = 0; i < content.files.size(); ++i) {
    if (!moved(i)) continue;
    if (::rename(content.finals[i].c_str(), content.files[i].c_str()) != 0)
      return fail_os(errno, "renaming " + content.finals[i]);
    if (auto synced = sync_directory_of(content.files[i]); !synced) return synced;
  }
  return {};
}

Result<std::vector<EarlierSave>> read_earlier_saves(const std::string& path,
                                                    const std::string& dump_id) {
  std::vector<EarlierSave> saves;
  std::vector<std::string> todo{path};
  while (!todo.empty()) {
    const std::string next = todo.back();
    todo.pop_back();
    if (is_known(saves, next)) continue;
    auto content = read_journal(next);
    // Whether it is needed is for the caller to find out, from what the others have.
    if (!content && content.error().code() == ErrorCode::kNotFound) continue;
    if (!content) return fail(std::move(content));
    if (content->dump_id != dump_id)
      return fail(ErrorCode::kBadData,
                  fmt::format("{} belongs to another unfinished dump, {}; choose another target",
                              next, content->dump_id));
    if (auto bound = bind_names(next, *content); !bound) return fail(std::move(bound));
    if (auto settled = settle_names(*content); !settled) return fail(std::move(settled), next);
    if (saves.size() == kMaxEarlierSaves)
      return fail(ErrorCode::kBadData, path + ": too many interrupted saves");
    todo.insert(todo.end(), content->with.begin(), content->with.end());
    saves.push_back({next, std::move(*content)});
  }
  return saves;
}

void add_earlier_saves(std::vector<EarlierSave>& saves, const std::vector<EarlierSave>& more) {
  for (const EarlierSave& save : more)
    if (!is_known(saves, save.journal)) saves.push_back(save);
}

bool has_its_files(const EarlierSave& save) {
  return std::all_of(save.content.files.begin(), save.content.files.end(), exists);
}

std::string journal_of(const std::string& given) {
  std::string named = std::filesystem::absolute(given).string();
  if (named.ends_with(".hadump-journal")) return named;
  return journal_path(without_mark(named));
}

Result<std::unique_ptr<VmcoreSource>> merge_with_earlier(std::unique_ptr<VmcoreSource> current,
                                                         FrameSet held,
                                                         const std::vector<EarlierSave>& earlier,
                                                         const FrameSet& gone,
                                                         const OpenVmcore& open) {
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
    auto source = open(save.content.files);
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
