// Compares our page classes with makedumpfile's on one real sample: for each level, the set of
// pages in its kdump-compressed file must be the set that we would keep, and each page in it must
// have the sample's bytes. Usage: filter_golden SAMPLE MAKEDUMPFILE [LEVEL…]
//
// Differences are listed by our class, as ranges, with their cause where it is known:
//   partial  a frame that a PT_LOAD covers in part: makedumpfile drops the last one of a segment,
//            we keep the bytes that are there
//   folios   large folios of Linux 6.6 and later: makedumpfile before 1.7.6 does not find their
//            order, and keeps all their pages but the first
//   slab     slab pages of Linux 6.10 and later: makedumpfile before 1.7.6 takes some of them for
//            user memory and drops them (its commit bad2a7c)
// Exit status: 0 when every difference has such a cause, 1 when one has not, 2 broken.

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/vmcore/kdump_source.h"
#include "core/vmcore/page_classifier.h"

namespace hadump {
namespace {

constexpr std::size_t kListedRanges = 5;
constexpr std::uint64_t kBatch = 256;

constexpr std::array<const char*, kPageClasses> kClassNames = {
    "kept", "zero", "cache", "private cache", "user", "free", "hwpoison", "offline"};

/// Runs makedumpfile; its output goes to our stderr only when it fails.
bool filter_with(const std::string& makedumpfile, const std::string& sample, unsigned level,
                 const std::string& out) {
  const std::string command = fmt::format("'{}' -f -l -d {} '{}' '{}' > '{}.log' 2>&1",
                                          makedumpfile, level, sample, out, out);
  const int status = std::system(command.c_str());  // NOLINT(cert-env33-c): a test
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  fmt::print(stderr, "failed: {}\n", command);
  return false;
}

/// makedumpfile 1.7 does not look at struct pages at level 0 and 1, not even for bad memory.
bool makedumpfile_leaves_out(PageClass page_class, unsigned level) {
  if (level <= kLevelZero && page_class != PageClass::kZero) return false;
  return is_left_out(page_class, level);
}

/// Which differences are expected.
struct Causes {
  FrameSet partial;
  bool folios = false;
  bool slab = false;
};

/// The numbers of "6.12.117+deb12-amd64" or "makedumpfile: version 1.7.2 (…": major.minor.patch as
/// one number.
unsigned version_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_of("0123456789"), text.size()));
  std::array<unsigned, 3> parts{};
  for (unsigned& part : parts) {
    const auto end = std::from_chars(text.data(), text.data() + text.size(), part).ptr;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty() || text.front() != '.') break;
    text.remove_prefix(1);
  }
  return parts[0] * 1'000'000 + parts[1] * 1'000 + parts[2];
}

std::string output_of(const std::string& command) {
  std::string output(256, '\0');
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"),
                                                             ::pclose);
  output.resize(pipe ? std::fread(output.data(), 1, output.size(), pipe.get()) : 0);
  return output;
}

Causes known_causes(const VmcoreLayout& layout, const std::string& makedumpfile) {
  Causes causes;
  for (const LoadSegment& segment : layout.segments) {
    const std::uint64_t end = segment.phys.value + segment.memory_bytes;
    if (end % kFrameSize != 0)
      causes.partial.insert({frame_of({end}), Gfn{frame_of({end}).value + 1}});
  }
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(layout));
  const unsigned kernel = info ? version_number(info->text("OSRELEASE").value_or("")) : 0;
  const unsigned filter = version_number(output_of("'" + makedumpfile + "' -v 2>&1"));
  causes.folios = kernel >= 6'006'000 && filter < 1'007'006;
  causes.slab = kernel >= 6'010'000 && filter < 1'007'006;
  return causes;
}

/// What differs, by our class.
struct Differences {
  std::array<FrameSet, kPageClasses> only_ours, only_theirs;
  FrameSet contents;
  std::uint64_t kept = 0;

  /// Takes out what has a known cause, and says so.
  void explain(const Causes& causes) {
    for (FrameSet& set : only_ours) {
      const std::uint64_t before = set.frames();
      set.erase(causes.partial);
      if (set.frames() != before) fmt::print("  partial: {} frames\n", before - set.frames());
    }
    if (causes.folios) drop("folios", only_theirs[static_cast<std::size_t>(PageClass::kUser)]);
    if (causes.slab) drop("slab", only_ours[static_cast<std::size_t>(PageClass::kKeep)]);
  }
  static void drop(const char* cause, FrameSet& set) {
    if (!set.empty()) fmt::print("  {}: {} frames\n", cause, set.frames());
    set = {};
  }
  std::uint64_t frames() const {
    std::uint64_t sum = contents.frames();
    for (std::size_t i = 0; i < kPageClasses; ++i)
      sum += only_ours[i].frames() + only_theirs[i].frames();
    return sum;
  }
};

void print_set(const char* what, const char* class_name, const FrameSet& set) {
  if (set.empty()) return;
  fmt::print("  {} ({}): {} frames:", what, class_name, set.frames());
  for (std::size_t i = 0; i < set.ranges().size() && i < kListedRanges; ++i)
    fmt::print(" [{:#x}, {:#x})", set.ranges()[i].begin.value, set.ranges()[i].end.value);
  fmt::print("{}\n", set.ranges().size() > kListedRanges ? " …" : "");
}

struct Buffers {
  std::vector<std::byte> ours_bytes = std::vector<std::byte>(kBatch * kFrameSize);
  std::vector<std::byte> their_bytes = ours_bytes;
  std::vector<FrameStatus> ours_status = std::vector<FrameStatus>(kBatch);
  std::vector<FrameStatus> their_status = ours_status;
};

/// Adds the differences of consecutive frames of one class.
void compare_run(const VmcoreSource& sample, const KdumpVmcoreSource& theirs, PageRun run,
                 unsigned level, Buffers& buffers, Differences& differences) {
  const auto index = static_cast<std::size_t>(run.page_class);
  auto& [ours_bytes, their_bytes, ours_status, their_status] = buffers;
  for (Gfn at = run.frames.begin; at < run.frames.end;) {
    const auto count = static_cast<std::size_t>(std::min(kBatch, run.frames.end.value - at.value));
    const std::size_t bytes = count * kFrameSize;
    if (!sample.read(at, std::span(ours_bytes).first(bytes), std::span(ours_status).first(count)) ||
        !theirs.read(at, std::span(their_bytes).first(bytes), std::span(their_status).first(count)))
      std::abort();
    for (std::size_t i = 0; i < count; ++i) {
      const Gfn gfn{at.value + i};
      const FrameRange one{gfn, Gfn{gfn.value + 1}};
      if (ours_status[i] == FrameStatus::kAbsent) continue;
      const bool keep = !makedumpfile_leaves_out(run.page_class, level);
      const bool they_keep = their_status[i] != FrameStatus::kAbsent;
      differences.kept += keep ? 1 : 0;
      if (keep && !they_keep) differences.only_ours[index].insert(one);
      if (!keep && they_keep) differences.only_theirs[index].insert(one);
      if (they_keep && (their_status[i] == FrameStatus::kFailed ||
                        std::memcmp(ours_bytes.data() + i * kFrameSize,
                                    their_bytes.data() + i * kFrameSize, kFrameSize) != 0))
        differences.contents.insert(one);
    }
    at.value += count;
  }
}

int compare_level(const VmcoreSource& sample, const std::vector<PageRun>& runs, unsigned level,
                  const Causes& causes, const std::string& filtered) {
  std::vector<std::unique_ptr<ByteFile>> parts;
  auto file = OpenedFile::open(filtered);
  if (!file) return 2;
  parts.push_back(std::move(*file));
  const auto theirs = KdumpVmcoreSource::open(std::move(parts));
  if (!theirs) {
    fmt::print(stderr, "{}\n", theirs.error().what());
    return 2;
  }
  Differences differences;
  Buffers buffers;
  for (const PageRun& run : runs) compare_run(sample, **theirs, run, level, buffers, differences);
  fmt::print("level {:2}: {} pages kept, {} different\n", level, differences.kept,
             differences.frames());
  differences.explain(causes);
  for (std::size_t i = 0; i < kPageClasses; ++i) {
    print_set("only in ours", kClassNames[i], differences.only_ours[i]);
    print_set("only in theirs", kClassNames[i], differences.only_theirs[i]);
  }
  print_set("other bytes", "any", differences.contents);
  return differences.frames() == 0 ? 0 : 1;
}

int run(const std::string& sample_path, const std::string& makedumpfile,
        const std::vector<unsigned>& levels) {
  const auto sample = open_vmcore(sample_path);
  if (!sample) {
    fmt::print(stderr, "{}\n", sample.error().what());
    return 2;
  }
  const auto classifier = PageClassifier::open(**sample);
  if (!classifier) {
    fmt::print(stderr, "{}\n", classifier.error().what());
    return 2;
  }
  std::vector<PageRun> runs;
  for (FrameRange range : (*sample)->layout().frames.ranges())
    if (!(*classifier)->classify(range, runs)) return 2;
  const KeptUnknown unknown = (*classifier)->kept_unknown();
  fmt::print("kept because unknown: {} without struct page, {} unreadable, {} damaged\n",
             unknown.no_page_struct, unknown.unreadable, unknown.damaged);
  const std::filesystem::path filtered =
      std::filesystem::path(sample_path).replace_extension(fmt::format("{}.kdump", ::getpid()));
  const Causes causes = known_causes((*sample)->layout(), makedumpfile);
  int worst = 0;
  for (unsigned level : levels) {
    const int result = filter_with(makedumpfile, sample_path, level, filtered)
                           ? compare_level(**sample, runs, level, causes, filtered)
                           : 2;
    worst = std::max(worst, result);
    std::fflush(stdout);
  }
  std::filesystem::remove(filtered);
  std::filesystem::remove(filtered.string() + ".log");
  return worst;
}

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 2) {
    fmt::print(stderr, "usage: filter_golden SAMPLE MAKEDUMPFILE [LEVEL…]\n");
    return 2;
  }
  std::vector<unsigned> levels;
  for (std::size_t i = 2; i < args.size(); ++i) {
    unsigned level = 0;
    std::from_chars(args[i].data(), args[i].data() + args[i].size(), level);
    levels.push_back(level);
  }
  if (levels.empty())
    for (unsigned level = 0; level <= hadump::kMaxDumpLevel; ++level) levels.push_back(level);
  return hadump::run(args[0], args[1], levels);
}
