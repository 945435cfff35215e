// SPDX-License-Identifier: GPL-2.0-or-later
// same_pages DUMP DUMP [--short-gaps]
//
// Whether two dumps have the same pages with the same bytes. A split dump is its files with commas
// between them, opened as one through libkdumpfile; so is an ELF core with a comma after it. With
// --short-gaps the second, an ELF core, may also have pages of zeros that the first has not, where
// fewer than 256 of those follow each other: a shorter run of left-out pages gets no program header
// of its own (makedumpfile does likewise). Exit status: 0 the same, 1 not, 2 not comparable.

#include <fcntl.h>
#include <fmt/format.h>
#include <libkdumpfile/kdumpfile.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/frame_set.h"
#include "tests/lab/truth/dump_reader.h"

namespace hadump::golden {
namespace {

constexpr std::uint64_t kLongRun = 256;

/// The files of a split dump, as one.
class SplitReader final : public lab::DumpReader {
 public:
  explicit SplitReader(const std::vector<std::string>& paths) : context_(kdump_new(), kdump_free) {
    for (const std::string& path : paths)
      files_.push_back(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    kdump_num_t end = 0;
    if (!context_ ||
        kdump_open_fdset(context_.get(), static_cast<unsigned>(files_.size()), files_.data()) !=
            KDUMP_OK ||
        kdump_get_number_attr(context_.get(), "max_pfn", &end) != KDUMP_OK)
      throw std::runtime_error(fmt::format("libkdumpfile: {}", kdump_get_err(context_.get())));
    end_ = end;
  }
  ~SplitReader() override {
    context_.reset();
    for (int file : files_) ::close(file);
  }
  SplitReader(const SplitReader&) = delete;
  SplitReader& operator=(const SplitReader&) = delete;

  std::uint64_t end() const override { return end_; }

  bool read(std::uint64_t frame, std::span<std::byte, lab::kFrameSize> out) override {
    std::size_t length = out.size();
    const kdump_status status =
        kdump_read(context_.get(), KDUMP_MACHPHYSADDR, frame * kFrameSize, out.data(), &length);
    if (status == KDUMP_OK && length == out.size()) return true;
    if (status != KDUMP_ERR_NODATA)
      throw std::runtime_error(fmt::format("libkdumpfile: {}", kdump_get_err(context_.get())));
    kdump_clear_err(context_.get());
    return false;
  }

 private:
  std::vector<int> files_;
  std::unique_ptr<kdump_ctx_t, decltype(&kdump_free)> context_;
  std::uint64_t end_ = 0;
};

std::unique_ptr<lab::DumpReader> open_any(std::string text) {
  std::vector<std::string> paths;
  for (std::size_t comma; (comma = text.find(',')) != std::string::npos; text.erase(0, comma + 1))
    paths.push_back(text.substr(0, comma));
  if (paths.empty()) return lab::open_dump(text);
  if (!text.empty()) paths.push_back(text);
  return std::make_unique<SplitReader>(paths);
}

struct Found {
  std::uint64_t equal = 0;
  FrameSet different, missing, extra, gaps;
};

Found compare(lab::DumpReader& first, lab::DumpReader& second) {
  constexpr std::array<std::byte, kFrameSize> kZeros{};
  std::array<std::byte, kFrameSize> a{}, b{};
  Found found;
  for (std::uint64_t frame = 0; frame < std::max(first.end(), second.end()); ++frame) {
    const bool in_first = frame < first.end() && first.read(frame, a);
    const bool in_second = frame < second.end() && second.read(frame, b);
    const FrameRange one{Gfn{frame}, Gfn{frame + 1}};
    if (in_first && in_second && a == b)
      ++found.equal;
    else if (in_first)
      (in_second ? found.different : found.missing).insert(one);
    else if (in_second)
      (b == kZeros ? found.gaps : found.extra).insert(one);
  }
  return found;
}

void print_set(const char* name, const FrameSet& set) {
  if (set.empty()) return;
  fmt::print("{} {}:", set.frames(), name);
  for (FrameRange range : set.ranges())
    fmt::print(" [{:#x}, {:#x})", range.begin.value, range.end.value);
  fmt::print("\n");
}

int run(const std::string& first, const std::string& second, bool short_gaps) {
  Found found = compare(*open_any(first), *open_any(second));
  std::uint64_t allowed = 0;
  const FrameSet gaps = found.gaps;
  for (FrameRange range : gaps.ranges()) {
    if (short_gaps && range.frames() < kLongRun)
      allowed += range.frames();
    else
      found.extra.insert(range);
  }
  fmt::print("{} pages equal, {} of zeros in short gaps\n", found.equal, allowed);
  print_set("different", found.different);
  print_set("missing", found.missing);
  print_set("extra", found.extra);
  return found.different.empty() && found.missing.empty() && found.extra.empty() ? 0 : 1;
}

}  // namespace
}  // namespace hadump::golden

int main(int argc, char** argv) try {
  const bool short_gaps = argc == 4 && std::strcmp(argv[3], "--short-gaps") == 0;
  if (argc != 3 && !short_gaps) throw std::runtime_error("usage: DUMP DUMP [--short-gaps]");
  return hadump::golden::run(argv[1], argv[2], short_gaps);
} catch (const std::exception& error) {
  fmt::print(stderr, "same_pages: {}\n", error.what());
  return 2;
}
