#include "userspace/command_info.h"

#include <fmt/format.h>

#include "core/base/endian.h"
#include "core/base/text.h"
#include "core/vmcore/kernel_log.h"
#include "core/vmcore/vmcoreinfo.h"
#include "userspace/command_line.h"
#include "userspace/engine.h"
#include "userspace/exit_codes.h"
#include "userspace/time_text.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

// struct elf_prstatus of x86-64 (linux/elfcore.h): pr_pid, then the registers in the order of
// struct user_regs_struct (asm/user_64.h).
constexpr std::size_t kPrstatusPid = 32;
constexpr std::size_t kPrstatusRegisters = 112;
constexpr std::size_t kRegisterRip = 16;
constexpr std::size_t kRegisterRsp = 19;
constexpr std::size_t kPrstatusBytes = 336;

constexpr const char* kClassNames[kPageClasses] = {
    "kept", "zero", "page cache",        "private page cache",
    "user", "free", "hardware-poisoned", "offline"};

po::options_description describe(bool with_positional) {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("log-lines", po::value<unsigned>()->default_value(10), "lines of the kernel log's end");
  if (with_positional)
    options.add_options()
      ("file", po::value<std::vector<std::string>>());
  // clang-format on
  return options;
}

std::uint64_t register_at(const ElfNote& note, std::size_t index) {
  le64 value;
  std::memcpy(&value, note.desc.data() + kPrstatusRegisters + index * sizeof(value), sizeof(value));
  return value;
}

void print_processors(const VmcoreLayout& layout, std::ostream& out) {
  const auto notes = cpu_notes(layout);
  out << fmt::format("processors: {}\n", notes.size());
  for (std::size_t i = 0; i < notes.size(); ++i) {
    if (notes[i]->desc.size() < kPrstatusBytes) continue;
    le32 pid;
    std::memcpy(&pid, notes[i]->desc.data() + kPrstatusPid, sizeof(pid));
    out << fmt::format("  {:<3} pid {:<7} rip {:#018x} rsp {:#018x}\n", i, std::uint32_t{pid},
                       register_at(*notes[i], kRegisterRip), register_at(*notes[i], kRegisterRsp));
  }
}

void print_kernel(const VmcoreLayout& layout, std::ostream& out) {
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(layout));
  if (!info) {
    out << "kernel: not known, there is no VMCOREINFO\n";
    return;
  }
  const CrashIdentity crash = crash_identity(*info);
  out << fmt::format("kernel: {}\ncrashed: {}\n",
                     crash.release.empty() ? "not known" : crash.release,
                     time_text(crash.crash_time_s.value_or(0)));
}

void print_classes(const VmcoreSource& source, std::ostream& out) {
  const auto opened = open_filter(source);
  if (!opened) {
    out << "pages by class: " << opened.error().what() << '\n';
    return;
  }
  std::array<std::uint64_t, kPageClasses> frames{};
  std::vector<PageRun> runs;
  for (FrameRange range : source.layout().frames.ranges()) {
    runs.clear();
    if (!opened->filter->classify(range, runs)) continue;
    for (const PageRun& run : runs)
      frames[static_cast<std::size_t>(run.page_class)] += run.frames.frames();
  }
  out << "pages by class:\n";
  for (std::size_t i = 0; i < kPageClasses; ++i)
    if (frames[i] != 0)
      out << fmt::format("  {:<18} {:>10}\n", kClassNames[i],
                         format_size(frames[i] << kFrameShift));
}

void print_log_end(const VmcoreSource& source, unsigned lines, std::ostream& out) {
  const auto log = crashed_kernel_log(source);
  if (!log) {
    out << "kernel log: " << log.error().what() << '\n';
    return;
  }
  std::string_view text = *log;
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::size_t begin = text.size();
  for (unsigned i = 0; i < lines && begin != std::string_view::npos && begin != 0; ++i)
    begin = text.rfind('\n', begin - 1);
  out << "the kernel log ends:\n"
      << text.substr(begin == std::string_view::npos || begin == 0 ? 0 : begin + 1) << '\n';
}

}  // namespace

std::string help_info() {
  return help_text("info FILE [FILE…]\nSeveral files: the parts of one split dump.",
                   describe(false));
}

Result<InfoOptions> parse_info(const std::vector<std::string>& args) {
  po::positional_options_description positional;
  positional.add("file", -1);
  auto values = parse_command_line(args, describe(true), positional);
  if (!values) return fail(std::move(values));
  InfoOptions options;
  options.help = values->count("help") > 0;
  options.log_lines = (*values)["log-lines"].as<unsigned>();
  if (values->count("file") > 0) options.files = (*values)["file"].as<std::vector<std::string>>();
  if (options.files.empty() && !options.help) return fail(ErrorCode::kBadData, "FILE is needed");
  return options;
}

int run_info(const InfoOptions& options, const VmcoreSource& source, Streams io) {
  const VmcoreLayout& layout = source.layout();
  io.out << fmt::format("dump: {}\n", layout.incomplete ? "INCOMPLETE" : "complete");
  io.out << fmt::format("memory: {} in {} ranges\n", format_size(layout.frames.bytes()),
                        layout.frames.ranges().size());
  print_kernel(layout, io.out);
  print_processors(layout, io.out);
  print_classes(source, io.out);
  print_log_end(source, options.log_lines, io.out);
  return layout.incomplete ? kExitIncomplete : kExitOk;
}

}  // namespace hadump
