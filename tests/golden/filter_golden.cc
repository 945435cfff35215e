// SPDX-License-Identifier: GPL-2.0-or-later
// Compares our dumps of one real sample with makedumpfile's: at each level both must have the same
// pages, and every page the sample's bytes.
// Usage: filter_golden SAMPLE RELEASE-REGION MAKEDUMPFILE LISTING [LEVEL…]
//
// Each page that only one of them has is written to LISTING with its cause (see causes.h).
// Level 0 is always among the levels: its pages are compared with the sample through libkdumpfile,
// and the pages of the other levels must be stored as the same bytes, or read as the sample's.
// Exit status: 0 when every difference has a cause, 1 when one has not or bytes differ, 2 broken.

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/vmcore/open.h"
#include "core/vmcore/page_filter.h"
#include "tests/golden/causes.h"
#include "tests/golden/kdump_pages.h"
#include "tests/lab/truth/dump_reader.h"

namespace hadump::golden {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBatch = 256;
constexpr std::uint64_t kListedUnknown = 20;

std::string output_of(const std::string& command) {
  std::string output(256, '\0');
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"),
                                                             ::pclose);
  output.resize(pipe ? std::fread(output.data(), 1, output.size(), pipe.get()) : 0);
  return output;
}

void run_program(const std::string& command, const std::string& log) {
  const std::string whole = command + " > '" + log + "' 2>&1";
  const int status = std::system(whole.c_str());  // NOLINT(cert-env33-c): a test
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  static_cast<void>(std::system(fmt::format("tail -5 '{}' >&2", log).c_str()));  // NOLINT
  throw std::runtime_error("failed: " + whole);
}

/// One program's dumps: that of level 0, and that of the level at hand.
class Dumps {
 public:
  /// @param command  with {0} for the level and {1} for the output.
  Dumps(std::string command, fs::path folder, const char* name)
      : command_(std::move(command)), folder_(std::move(folder)), name_(name) {
    make(0, path("0"));
    whole_ = std::make_unique<KdumpPages>(path("0"));
  }

  /// Level 0 stays as it is. @return the pages of this level, until the next call.
  const KdumpPages& at(unsigned level) {
    if (level == 0) return *whole_;
    make(level, path("now"));
    now_ = std::make_unique<KdumpPages>(path("now"));
    return *now_;
  }
  const KdumpPages& whole() const { return *whole_; }
  std::string path(const char* which) const { return folder_ / fmt::format("{}.{}", name_, which); }

 private:
  void make(unsigned level, const std::string& out) const {
    fs::remove(out);
    run_program(fmt::format(fmt::runtime(command_), level, out), folder_ / "log");
  }

  std::string command_;
  fs::path folder_;
  const char* name_;
  std::unique_ptr<KdumpPages> whole_, now_;
};

/// The sample's bytes, where a dump is to have them.
class Sample {
 public:
  explicit Sample(const VmcoreSource& source) : source_(source) {}

  /// Frames of `dump` in [begin, end of it) whose bytes differ, or that the sample has not.
  FrameSet different(const std::string& path, const KdumpPages& pages) {
    const auto reader = lab::open_kdumpfile(path);
    FrameSet found;
    for (std::uint64_t at = 0; at < pages.end(); at += kBatch) {
      read(at);
      for (std::uint64_t i = 0; i < kBatch; ++i)
        if (pages.has(at + i) && !same(*reader, at, i))
          found.insert({Gfn{at + i}, Gfn{at + i + 1}});
    }
    return found;
  }
  /// Whether the dump has this one frame right.
  bool same(lab::DumpReader& reader, std::uint64_t frame) {
    read(frame / kBatch * kBatch);
    return same(reader, frame / kBatch * kBatch, frame % kBatch);
  }

 private:
  void read(std::uint64_t first) {
    if (!source_.read(Gfn{first}, bytes_, status_)) throw std::runtime_error("the sample");
  }
  bool same(lab::DumpReader& reader, std::uint64_t first, std::uint64_t index) {
    return status_[index] == FrameStatus::kRead && reader.read(first + index, page_) &&
           std::memcmp(page_.data(), bytes_.data() + index * kFrameSize, kFrameSize) == 0;
  }

  const VmcoreSource& source_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kBatch * kFrameSize);
  std::vector<FrameStatus> status_ = std::vector<FrameStatus>(kBatch);
  std::array<std::byte, kFrameSize> page_{};
};

void print_ranges(std::FILE* out, const FrameSet& set) {
  for (FrameRange range : set.ranges())
    fmt::print(out, " [{:#x}, {:#x})", range.begin.value, range.end.value);
  fmt::print(out, "\n");
}

class Comparison {
 public:
  Comparison(const VmcoreSource& sample, const Causes& causes, Dumps ours, Dumps theirs,
             std::FILE* listing)
      : sample_(sample),
        causes_(causes),
        ours_(std::move(ours)),
        theirs_(std::move(theirs)),
        listing_(listing) {}

  /// @return whether the pages of level 0 have the sample's bytes, in both.
  bool whole_dumps() {
    bool good = true;
    for (const Dumps* dumps : {&ours_, &theirs_}) {
      const FrameSet wrong = sample_.different(dumps->path("0"), dumps->whole());
      if (!wrong.empty()) {
        fmt::print("level  0: {} has other bytes than the sample:", dumps->path("0"));
        print_ranges(stdout, wrong);
        good = false;
      }
    }
    return good;
  }

  /// @return whether the level's pages are the same, or differ for known causes.
  bool level(unsigned level) {
    const KdumpPages& ours = ours_.at(level);
    const KdumpPages& theirs = theirs_.at(level);
    std::map<std::string, FrameSet> found;
    for (std::uint64_t frame = 0; frame < std::max(ours.end(), theirs.end()); ++frame) {
      if (ours.has(frame) == theirs.has(frame)) continue;
      const char* cause = causes_.of({frame, ours.has(frame), level});
      const char* side = ours.has(frame) ? "only ours" : "only theirs";
      found[fmt::format("{}, {}", side, cause != nullptr ? cause : "UNKNOWN")].insert(
          {Gfn{frame}, Gfn{frame + 1}});
    }
    const std::uint64_t wrong =
        wrong_bytes(ours_, ours, level) + wrong_bytes(theirs_, theirs, level);
    return report(level, ours, found) && wrong == 0;
  }

 private:
  /// Pages of a level that are neither stored as at level 0 nor read as the sample's.
  std::uint64_t wrong_bytes(const Dumps& dumps, const KdumpPages& pages, unsigned level) {
    if (level == 0) return 0;
    std::unique_ptr<lab::DumpReader> reader;
    FrameSet wrong;
    for (std::uint64_t frame = 0; frame < pages.end(); ++frame) {
      if (!pages.has(frame)) continue;
      if (dumps.whole().has(frame) && pages.stored(frame) == dumps.whole().stored(frame)) continue;
      if (!reader) reader = lab::open_kdumpfile(dumps.path("now"));
      if (!sample_.same(*reader, frame)) wrong.insert({Gfn{frame}, Gfn{frame + 1}});
    }
    if (!wrong.empty()) {
      fmt::print("level {:2}: other bytes than the sample:", level);
      print_ranges(stdout, wrong);
    }
    return wrong.frames();
  }

  bool report(unsigned level, const KdumpPages& ours,
              const std::map<std::string, FrameSet>& found) {
    fmt::print("level {:2}: {} pages", level, ours.pages());
    bool good = true;
    for (const auto& [what, set] : found) {
      fmt::print("; {}: {}", what, set.frames());
      fmt::print(listing_, "level {} {}:", level, what);
      print_ranges(listing_, set);
    }
    fmt::print("\n");
    for (const auto& [what, set] : found) {
      if (!what.ends_with("UNKNOWN")) continue;
      good = false;
      std::uint64_t listed = 0;
      for (FrameRange range : set.ranges())
        if (++listed <= kListedUnknown)
          fmt::print("  {} [{:#x}, {:#x}) {}\n", what, range.begin.value, range.end.value,
                     causes_.describe(range.begin.value));
    }
    std::fflush(stdout);
    return good;
  }

  Sample sample_;
  const Causes& causes_;
  Dumps ours_, theirs_;
  std::FILE* listing_;
};

/// A folder beside the sample, gone at the end.
struct Folder {
  explicit Folder(const std::string& sample)
      : path(fmt::format("{}.{}.levels", sample, ::getpid())) {
    fs::create_directory(path);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path path;
};

int run(const std::vector<std::string>& args, const std::vector<unsigned>& levels) {
  const auto sample = open_vmcore(args[0]);
  if (!sample) throw std::runtime_error(sample.error().what());
  const unsigned version = version_number(output_of("'" + args[2] + "' -v 2>&1"));
  if (version == 0) throw std::runtime_error(args[2] + " does not say its version");
  const Causes causes(**sample, version);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> listing(std::fopen(args[3].c_str(), "w"),
                                                                std::fclose);
  if (!listing) throw std::runtime_error(args[3] + ": cannot be written");
  const Folder folder(args[0]);
  const std::string ours =
      fmt::format("'{}' convert '{}' '{{1}}' --format kdump --compress lzo --dump-level {{0}}",
                  args[1], args[0]);
  const std::string theirs = fmt::format("'{}' -f -l -d {{0}} '{}' '{{1}}'", args[2], args[0]);
  Comparison comparison(**sample, causes, Dumps(ours, folder.path, "ours"),
                        Dumps(theirs, folder.path, "theirs"), listing.get());
  bool good = comparison.whole_dumps();
  for (unsigned level : levels) good = comparison.level(level) && good;
  return good ? 0 : 1;
}

}  // namespace
}  // namespace hadump::golden

int main(int argc, char** argv) try {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 4)
    throw std::runtime_error("usage: SAMPLE RELEASE-REGION MAKEDUMPFILE LISTING [LEVEL…]");
  std::vector<unsigned> levels;
  for (std::size_t i = 4; i < args.size(); ++i)
    std::from_chars(args[i].data(), args[i].data() + args[i].size(), levels.emplace_back());
  if (levels.empty())
    for (unsigned level = 0; level <= hadump::kMaxDumpLevel; ++level) levels.push_back(level);
  return hadump::golden::run(args, levels);
} catch (const std::exception& error) {
  fmt::print(stderr, "filter_golden: {}\n", error.what());
  return 2;
}
