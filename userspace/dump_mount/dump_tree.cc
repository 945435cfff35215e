// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_mount/dump_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "core/base/file.h"
#include "core/vmcore/kernel_log.h"
#include "userspace/cli/vmcoreinfo_option.h"
#include "userspace/dump_tools/command_info.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxMetadataBytes = 1_MiB;

// Such files may be about another dump, and a directory that an admin has filled may hold anything.
bool is_about(const std::string& metadata, const std::string& dump) {
  const auto json = nlohmann::json::parse(metadata, nullptr, /*allow_exceptions=*/false);
  const nlohmann::json::json_pointer name("/header/dump/file");
  return json.is_object() && json.contains(name) && json[name] == dump;
}

// What a capture has put beside its dump: docs/spec/capture.md.
std::string metadata_beside(const std::string& file) {
  const fs::path path(file);
  std::string name = path.filename().string();
  constexpr std::string_view kIncomplete = "-incomplete";
  if (name.ends_with(kIncomplete)) name.resize(name.size() - kIncomplete.size());
  for (const std::string& beside : {name + "-metadata.json", std::string("metadata.json")}) {
    const fs::path candidate = path.parent_path() / beside;
    std::error_code error;
    if (!fs::is_regular_file(candidate, error)) continue;
    if (auto text = read_text_file(candidate.string(), kMaxMetadataBytes);
        text && is_about(*text, name))
      return *text;
  }
  return "";
}

std::string facts_of(const VmcoreSource& source) {
  InfoOptions options;
  options.json = true;
  std::ostringstream out;
  static_cast<void>(run_info(options, source, {out, out}));
  return out.str();
}

}  // namespace

Result<std::unique_ptr<DumpTree>> DumpTree::open(const std::vector<std::string>& files,
                                                 const std::string& vmcoreinfo) {
  auto source = open_dump(files, vmcoreinfo);
  if (!source) return fail(std::move(source));
  return show(std::move(*source), files.front());
}

Result<std::unique_ptr<DumpTree>> DumpTree::show(std::unique_ptr<VmcoreSource> source,
                                                 const std::string& file) {
  std::unique_ptr<DumpTree> tree(new DumpTree(std::move(source)));
  auto image = ElfImage::make(*tree->source_);
  if (!image) return fail(std::move(image));
  tree->image_ = std::move(*image);
  tree->files_.push_back({"vmcore", tree->image_->bytes(),
                          [&image = *tree->image_](std::uint64_t offset, std::span<std::byte> out) {
                            return image.read(offset, out);
                          }});
  if (auto log = kernel_log(*tree->source_)) tree->add_text("dmesg.txt", std::move(*log));
  std::string metadata = metadata_beside(file);
  if (metadata.empty()) metadata = facts_of(*tree->source_);
  tree->add_text("metadata.json", std::move(metadata));
  struct stat info {};
  if (::stat(file.c_str(), &info) == 0) tree->time_s_ = info.st_mtime;
  return tree;
}

void DumpTree::add_text(const std::string& name, std::string text) {
  const std::uint64_t bytes = text.size();
  files_.push_back(
      {name, bytes, [text = std::move(text)](std::uint64_t offset, std::span<std::byte> out) {
         const std::uint64_t at = std::min<std::uint64_t>(offset, text.size());
         const std::size_t count = std::min<std::uint64_t>(out.size(), text.size() - at);
         std::memcpy(out.data(), text.data() + at, count);
         return Result<std::size_t>(count);
       }});
}

const DumpTree::File* DumpTree::find(std::string_view name) const {
  const auto found = std::find_if(files_.begin(), files_.end(),
                                  [&](const File& file) { return file.name == name; });
  return found == files_.end() ? nullptr : &*found;
}

}  // namespace hadump
