#include "userspace/earlier_save.h"

#include <fmt/format.h>

#include <algorithm>

namespace hadump {
namespace {

// Each link is a save that was cut short and could not be continued in place.
constexpr std::size_t kMaxEarlierSaves = 32;

bool is_known(const std::vector<EarlierSave>& saves, const std::string& journal) {
  return std::any_of(saves.begin(), saves.end(),
                     [&](const EarlierSave& save) { return save.journal == journal; });
}

}  // namespace

Result<std::vector<EarlierSave>> read_earlier_saves(const std::string& path,
                                                    const std::string& dump_id) {
  std::vector<EarlierSave> saves;
  std::vector<std::string> todo{path};
  while (!todo.empty()) {
    const std::string next = todo.back();
    todo.pop_back();
    if (is_known(saves, next)) continue;
    auto content = read_journal(next);
    if (!content && content.error().code() == ErrorCode::kNotFound && next == path) return saves;
    if (!content) return fail(std::move(content));
    if (content->dump_id != dump_id)
      return fail(
          ErrorCode::kBadData,
          fmt::format("{} belongs to another dump, {}, that is not finished; choose another "
                      "target",
                      next, content->dump_id));
    if (saves.size() == kMaxEarlierSaves)
      return fail(ErrorCode::kBadData, path + ": too many interrupted saves");
    todo.insert(todo.end(), content->with.begin(), content->with.end());
    saves.push_back({next, std::move(*content)});
  }
  return saves;
}

std::string journal_of(const std::string& named) {
  if (named.ends_with(".hadump-journal")) return named;
  const std::size_t mark = named.rfind("-incomplete");
  return journal_path(mark == std::string::npos ? named : named.substr(0, mark));
}

Result<std::unique_ptr<VmcoreSource>> merge_with_earlier(std::unique_ptr<VmcoreSource> current,
                                                         FrameSet held,
                                                         const std::vector<EarlierSave>& earlier,
                                                         const OpenVmcore& open) {
  FrameSet known = held;
  std::vector<MergedVmcore::Part> parts;
  parts.push_back({std::move(current), std::move(held)});
  for (const EarlierSave& save : earlier) {
    FrameSet wanted = save.content.durable;
    wanted.erase(known);
    if (wanted.empty()) continue;
    for (const std::string& file : save.content.files) {
      auto source = open(file);
      if (!source) return fail(std::move(source), "what was released before is in " + file);
      FrameSet here = wanted;
      // Of a striped dump, each file has its own part.
      if (save.content.files.size() > 1) here = wanted.intersection((*source)->layout().frames);
      parts.push_back({std::move(*source), std::move(here)});
    }
    known.insert(wanted);
  }
  return std::make_unique<MergedVmcore>(std::move(parts));
}

}  // namespace hadump
