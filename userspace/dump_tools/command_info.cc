// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "core/base/endian.h"
#include "core/base/text.h"
#include "core/base/time_text.h"
#include "core/save/dump_contents.h"
#include "core/vmcore/kernel_log.h"
#include "core/vmcore/vmcoreinfo.h"
#include "userspace/cli/command_line.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/json.h"
#include "userspace/cli/progress_reporter.h"
#include "userspace/dump_tools/open_for.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

// struct elf_prstatus of x86-64 (linux/elfcore.h): pr_pid, then the registers in the order of
// struct user_regs_struct (asm/user_64.h).
constexpr std::size_t kPrstatusPid = 32;
constexpr std::size_t kPrstatusRegisters = 112;
constexpr std::array kRegisterNames{"r15",     "r14",      "r13", "r12", "rbp",    "rbx", "r11",
                                    "r10",     "r9",       "r8",  "rax", "rcx",    "rdx", "rsi",
                                    "rdi",     "orig_rax", "rip", "cs",  "eflags", "rsp", "ss",
                                    "fs_base", "gs_base",  "ds",  "es",  "fs",     "gs"};
constexpr std::size_t kRegisterRbp = 4;
constexpr std::size_t kRegisterRip = 16;
constexpr std::size_t kRegisterRsp = 19;
constexpr std::size_t kPrstatusBytes = 336;
static_assert(kPrstatusRegisters + kRegisterNames.size() * sizeof(le64) <= kPrstatusBytes);

constexpr const char* kClassNames[kPageClasses] = {
    "kept", "zero", "page cache",        "private page cache",
    "user", "free", "hardware-poisoned", "offline"};

po::options_description info_options(bool with_positional) {
  po::options_description options("Options");
  // clang-format off
  options.add_options()
      ("help,h", "show this text")
      ("json", "print JSON, including all registers of every processor")
      ("log-lines", po::value<std::string>()->default_value("10")->value_name("N"),
       "number of lines from the end of the kernel log; 0 for none");
  if (with_positional)
    options.add_options()
      ("file", po::value<std::vector<std::string>>());
  // clang-format on
  describe_vmcoreinfo(options);
  return options;
}

std::uint64_t register_at(const ElfNote& note, std::size_t index) {
  le64 value;
  std::memcpy(&value, note.desc.data() + kPrstatusRegisters + index * sizeof(value), sizeof(value));
  return value;
}

std::uint32_t pid_of(const ElfNote& note) {
  le32 pid;
  std::memcpy(&pid, note.desc.data() + kPrstatusPid, sizeof(pid));
  return pid;
}

/// All that is said about a dump.
struct DumpFacts {
  std::optional<CrashIdentity> crash;      ///< Nothing without VMCOREINFO.
  std::vector<const ElfNote*> processors;  ///< Borrowed from the source.
  Result<OpenedFilter> filter;
  std::array<std::uint64_t, kPageClasses> frames{};
  std::uint64_t kept_unknown = 0;
  std::string log_end;
  std::string log_error;  ///< Why there is no log.
};

std::string last_lines(std::string_view text, unsigned lines) {
  if (lines == 0) return {};
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::size_t begin = text.size();
  for (unsigned i = 0; i < lines && begin != std::string_view::npos && begin != 0; ++i)
    begin = text.rfind('\n', begin - 1);
  return std::string(text.substr(begin == std::string_view::npos || begin == 0 ? 0 : begin + 1));
}

DumpFacts gather(const VmcoreSource& source, unsigned log_lines) {
  DumpFacts facts{std::nullopt, {}, open_filter(source), {}, 0, {}, {}};
  if (const auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout())))
    facts.crash = crash_identity(*info);
  for (const ElfNote* note : cpu_notes(source.layout()))
    if (note->desc.size() >= kPrstatusBytes) facts.processors.push_back(note);
  if (facts.filter) {
    for_each_run(source.layout().frames, facts.filter->filter.get(), [&](const PageRun& run) {
      facts.frames[static_cast<std::size_t>(run.page_class)] += run.frames.frames();
    });
    facts.kept_unknown = facts.filter->kept_unknown();
  }
  if (const auto log = crashed_kernel_log(source))
    facts.log_end = last_lines(*log, log_lines);
  else
    facts.log_error = log.error().what();
  return facts;
}

/// Its kernel adds the hypervisor's notes (XEN_ELFNOTE_CRASH_INFO, VMCOREINFO_XEN).
bool is_of_xen_host(const VmcoreLayout& layout) {
  return std::any_of(layout.notes.begin(), layout.notes.end(), [](const ElfNote& note) {
    return note.name == "Xen" || note.name == "VMCOREINFO_XEN";
  });
}

void print_processors(const DumpFacts& facts, std::ostream& out) {
  out << fmt::format("processors: {}\n", facts.processors.size());
  for (std::size_t i = 0; i < facts.processors.size(); ++i) {
    const ElfNote& note = *facts.processors[i];
    out << fmt::format("  {:<3} pid {:<7} rip {:#018x} rsp {:#018x} rbp {:#018x}\n", i,
                       pid_of(note), register_at(note, kRegisterRip),
                       register_at(note, kRegisterRsp), register_at(note, kRegisterRbp));
  }
}

void print_classes(const DumpFacts& facts, std::ostream& out) {
  if (!facts.filter) {
    out << "pages by class: " << facts.filter.error().what() << '\n';
    return;
  }
  out << "pages by class:\n";
  for (std::size_t i = 0; i < kPageClasses; ++i)
    if (facts.frames[i] != 0)
      out << fmt::format("  {:<18} {:>10} {:>10}\n", kClassNames[i], facts.frames[i],
                         format_size(facts.frames[i] << kFrameShift));
  if (facts.kept_unknown != 0)
    out << fmt::format("  of the kept pages, {} are of unknown use\n", facts.kept_unknown);
}

/// Seconds since 1970, by VMCOREINFO or else by the dump's header; 0 when neither says.
std::uint64_t crash_time_of(const VmcoreLayout& layout, const DumpFacts& facts) {
  const auto noted = facts.crash ? facts.crash->crash_time_s : std::nullopt;
  return noted.value_or(layout.header.crash_time_s);
}

void print_text(const VmcoreLayout& layout, const DumpFacts& facts, std::ostream& out) {
  out << fmt::format("dump: {}\n", layout.incomplete ? "INCOMPLETE" : "complete");
  out << fmt::format("memory: {} in {} ranges\n", format_size(layout.frames.bytes()),
                     layout.frames.ranges().size());
  if (facts.crash)
    out << fmt::format("kernel: {}\ncrashed: {}\n",
                       facts.crash->release.empty() ? "not known" : facts.crash->release,
                       time_text(crash_time_of(layout, facts)));
  else
    out << "kernel: unknown, there is no VMCOREINFO\n";
  if (is_of_xen_host(layout))
    out << "machine: a Xen host; crash opens the hypervisor's part with its xen-syms\n";
  if (layout.device_dump_bytes_left_out != 0)
    out << fmt::format("device dumps too large to be read: {}\n",
                       format_size(layout.device_dump_bytes_left_out));
  print_processors(facts, out);
  print_classes(facts, out);
  if (facts.log_error.empty() && facts.log_end.empty()) return;
  if (facts.log_error.empty())
    out << "end of the kernel log:\n" << facts.log_end << '\n';
  else
    out << "kernel log: " << facts.log_error << '\n';
}

Json processor_json(const ElfNote& note) {
  Json registers;
  // As text: JSON's readers take numbers as floating point.
  for (std::size_t i = 0; i < kRegisterNames.size(); ++i)
    registers[kRegisterNames[i]] = fmt::format("{:#x}", register_at(note, i));
  return {{"pid", pid_of(note)}, {"registers", std::move(registers)}};
}

void print_json(const VmcoreLayout& layout, const DumpFacts& facts, std::ostream& out) {
  const std::uint64_t crash_time = crash_time_of(layout, facts);
  Json before;
  before["complete"] = !layout.incomplete;
  before["memory_bytes"] = layout.frames.bytes();
  before["ranges"] = layout.frames.ranges().size();
  before["kernel"] = facts.crash ? Json(facts.crash->release) : Json();
  before["crash_time"] = crash_time != 0 ? Json(crash_time) : Json();
  Json after;
  after["pages_by_class"] = facts.filter ? classes_json(facts.frames) : Json();
  after["pages_unknown"] = facts.kept_unknown;
  after["log_end"] = facts.log_error.empty() ? Json(facts.log_end) : Json();
  // One object, but never all of it in memory: a file of 16 MiB can have thousands of processors.
  std::string text = json_text(before);
  text.back() = ',';
  out << text << "\"processors\":[";
  for (std::size_t i = 0; i < facts.processors.size(); ++i)
    out << (i == 0 ? "" : ",") << json_text(processor_json(*facts.processors[i]));
  text = json_text(after);
  text.front() = ',';
  out << ']' << text << '\n';
}

int call_info(const InfoOptions& options, const CommandCall& call) {
  const auto source = open_for(call, "info", options.files, options.vmcoreinfo);
  return source ? run_info(options, *source, call.io) : kExitFailed;
}

}  // namespace

std::string help_info(const std::string& program) {
  return help_text(program,
                   "info [--json] [--log-lines N] [--vmcoreinfo FILE] FILE [FILE…]\n"
                   "Shows what a dump contains. Several files: the parts of one split dump.",
                   info_options(false),
                   {{kExitOk, "success"},
                    {kExitFailed, "failed"},
                    {kExitUsage, "wrong usage"},
                    {kExitIncomplete, "the dump is incomplete"}});
}

Result<InfoOptions> parse_info(const std::vector<std::string>& args) {
  po::positional_options_description positional;
  positional.add("file", -1);
  auto values = parse_command_line(args, info_options(true), positional);
  if (!values) return fail(std::move(values));
  InfoOptions options;
  options.help = values->count("help") > 0;
  options.json = values->count("json") > 0;
  const auto lines = parse_decimal((*values)["log-lines"].as<std::string>());
  if (!lines || *lines > kMaxLogRecords)
    return fail(ErrorCode::kBadData,
                fmt::format("--log-lines takes a number from 0 to {}", kMaxLogRecords));
  options.log_lines = static_cast<unsigned>(*lines);
  options.vmcoreinfo = vmcoreinfo_option(*values);
  if (values->count("file") > 0) options.files = (*values)["file"].as<std::vector<std::string>>();
  if (options.files.empty() && !options.help) return fail(ErrorCode::kBadData, "FILE is needed");
  return options;
}

int run_info(const InfoOptions& options, const VmcoreSource& source, Streams io) {
  const DumpFacts facts = gather(source, options.log_lines);
  if (options.json)
    print_json(source.layout(), facts, io.out);
  else
    print_text(source.layout(), facts, io.out);
  return source.layout().incomplete ? kExitIncomplete : kExitOk;
}

int info_command(const CommandCall& call) {
  return parse_and_run(call, "info", parse_info, help_info, call_info);
}

}  // namespace hadump
