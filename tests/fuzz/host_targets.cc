// SPDX-License-Identifier: GPL-2.0-or-later
// What the host's programs read: hadumpd's answers, its configuration, its own files after it was
// killed, and Xen's records of a domain.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "core/abi/hadump_abi.h"
#include "hv/capture/capture_facts.h"
#include "hv/capture/capture_modes.h"
#include "hv/capture/capture_record.h"
#include "hv/capture/page_list.h"
#include "hv/hadump/answer.h"
#include "hv/hadump/command.h"
#include "hv/hadumpd/options.h"
#include "hv/hadumpd/state_directory.h"
#include "hv/xen/hvm_context.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/targets.h"

namespace hadump {
namespace {

std::string text_of(std::span<const std::byte> input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

/// The input is a line for each answer; the last one is repeated.
void take_answer(std::span<const std::byte> input) {
  const std::string text = text_of(input);
  std::size_t at = 0;
  const auto ask = [&](const std::string&,
                       const nlohmann::ordered_json&) -> Result<nlohmann::ordered_json> {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    auto answer = parse_answer(text.substr(at, end - at));
    if (end + 1 < text.size()) at = end + 1;
    return answer;
  };
  using Words = std::vector<std::string>;
  for (const Words& words :
       {Words{"list"}, Words{"list", "--json"}, Words{"status", "web"},
        Words{"status", "web", "--json"}, Words{"trigger", "web", "--wait", "1"},
        Words{"capture", "web", "--to", "/x", "--follow"}}) {
    at = 0;
    std::ostringstream out, errors;
    CommandWorld world{ask, out, errors, [] { return std::uint64_t{1'000'000}; },
                       [](std::chrono::milliseconds) {}};
    const auto found = find_command(words);
    const auto run = found ? found->command->parse(found->arguments) : Result<Run>();
    fuzz_require(run.has_value(), "the words are a command's");
    const int code = (*run)(world);
    fuzz_require(code == kAdminOk || !errors.str().empty(), "a failure has a reason");
  }
}

std::vector<std::vector<std::byte>> answer_seeds() {
  const std::string domain =
      R"({"ok":true,"domains":[{"domid":3,"name":"web","uuid":"u","state":"dumping","since_ms":9,)"
      R"("memory_bytes":1073741824,"note":"n","guest":{"state":"saving","progress":"p",)"
      R"("saved_percent":42},"dump":{"dump_id":"0a","step":"started","mode":"added","boots":1,)"
      R"("held_bytes":5,"released_bytes":9,"error":"e","times_ms":{"copy":1.5}}}]})";
  const std::string captures =
      R"({"ok":true,"domains":[],"captures":[{"name":"web-1","uuid":"u","domain":"web",)"
      R"("mode":"copy","state":"written","memory_bytes":9,"done_bytes":4,"bytes_per_s":7,)"
      R"("remaining_s":3,"file":"/f","file_bytes":8,"panic":"p","error":"","complete":false}]})";
  return {bytes_of_text(domain),
          bytes_of_text(captures),
          bytes_of_text(domain + "\n" + R"({"ok":true,"name":"web-1"})" + "\n" + captures),
          bytes_of_text(domain + "\n" + R"({"ok":true,"job":17})" + "\n" +
                        R"({"ok":true,"over":true,"what":"w","error":"e"})"),
          bytes_of_text(domain + "\n" + R"({"ok":1,"job":"x"})" + "\n" + R"({"over":7,"what":[]})"),
          bytes_of_text(R"({"domains":[{"name":"web","dump":{"times_ms":["x",{}]}},"web",[]]})")};
}

void read_conf(std::span<const std::byte> input) {
  const auto policies = parse_policies(text_of(input), "hadumpd.conf");
  if (!policies) return;
  for (const char* name : {"", "web", "db-1"}) {
    const DomainPolicy policy = policies->for_domain(name);
    fuzz_require(policy.window_bytes >= HADUMP_MIN_WINDOW &&
                     is_aligned(policy.window_bytes, HADUMP_BLOCK_SIZE),
                 "a window is whole blocks");
    for (const std::string* path : {&policy.kernel, &policy.ramdisk})
      fuzz_require(path->empty() || path->front() == '/', "a file has an absolute path");
    fuzz_require(policy.crash_period.count() >= 0 && policy.backend_timeout.count() >= 0,
                 "time goes forward");
  }
  fuzz_require(policies->cores().directory.starts_with('/'), "cores have an absolute path");
}

std::vector<std::vector<std::byte>> conf_seeds() {
  return {bytes_of_text("# comment\n[default]\nwindow = 384M\nsave-area = added\nmax-crashes=3\n"
                        "crash-period = 3600\nbackend-timeout = 10\nenabled = yes\n"
                        "[domain db-*]\nsave-area=registered\nkernel=/boot/vmlinuz\n"
                        "ramdisk = /boot/initrd\ncmdline = root=/dev/xvda1 #1\nenabled=off\n"
                        "window-cmdline-add = a=\"b c\" d\nwindow-cmdline-keep = hugepages\n"
                        "window-cmdline-drop = quiet log_buf_len\n"),
          bytes_of_text("[host]\nkeep-free = 1G\nmax-save-areas = 4\n[cores]\ndirectory = /v\n"
                        "max-count = 8\nmax-bytes = 64G\nkeep-free = 1G\n")};
}

void read_record(std::span<const std::byte> input) {
  const auto record = parse_record(text_of(input));
  if (!record) return;
  fuzz_require(record->save_area.begin <= record->save_area.end,
               "a save area ends after it begins");
  const std::string json = to_json(*record);
  const auto again = parse_record(json);
  fuzz_require(again && to_json(*again) == json, "a record comes back as it was");
}

std::vector<std::vector<std::byte>> record_seeds() {
  DomainRecord record;
  record.uuid = "00112233-4455-6677-8899-aabbccddeeff";
  record.name = "web \"1\"";
  record.domid = 7;
  record.step = Step::kStarted;
  record.save_area = frames_of_bytes(4_GiB, 260_MiB);
  record.dump_id = {1, 2, 255};
  record.crashes = {5, 6};
  record.times = {{"copy", 1.5}};
  std::string beyond = to_json(record);
  const std::string address = std::to_string(4_GiB);
  beyond.replace(beyond.find(address), address.size(), std::to_string(~std::uint64_t{0xfff}));
  return {bytes_of_text(to_json(record)), bytes_of_text(to_json(DomainRecord{})),
          bytes_of_text(beyond)};
}

void read_capture_record(std::span<const std::byte> input) {
  const auto record = parse_capture_record(text_of(input));
  if (!record) return;
  fuzz_require(!record->name.empty() && record->name.find('/') == std::string::npos,
               "a name is a file's");
  fuzz_require(!check_order(record->order) || record->order.to.starts_with('/'),
               "a target has an absolute path");
  const auto again = parse_capture_record(to_json(*record));
  fuzz_require(again && *again == *record, "a record comes back as it was");
}

std::vector<std::vector<std::byte>> capture_record_seeds() {
  CaptureRecord record;
  record.name = "web-20261128T212500";
  record.domain = "web";
  record.domid = 7;
  record.order.to = "/var/captures/";
  record.order.dump_level = "1,31";
  record.state = CaptureState::kWriting;
  record.panic = "Kernel panic";
  return {bytes_of_text(to_json(record))};
}

void read_facts(std::span<const std::byte> input) {
  const auto facts = parse_facts(text_of(input));
  if (!facts) return;
  fuzz_require(facts->domain.vcpus.size() <= HADUMP_MAX_VCPUS, "a named limit");
  const std::string text = to_json(*facts);
  const auto again = parse_facts(text);
  fuzz_require(again && to_json(*again) == text, "facts come back as they were");
}

std::vector<std::vector<std::byte>> facts_seeds() {
  CaptureFacts facts;
  facts.domain.survey.ram =
      FrameSet{FrameRange{Gfn{0}, Gfn{1000}}, FrameRange{Gfn{1 << 20}, Gfn{1 << 21}}};
  facts.domain.survey.absent = FrameSet{FrameRange{Gfn{5}, Gfn{7}}};
  facts.domain.vcpus.resize(1);
  facts.domain.vmcoreinfo_note = {std::byte{1}, std::byte{2}};
  facts.blueprint = "{}";
  return {bytes_of_text(to_json(facts))};
}

void read_page_list(std::span<const std::byte> input) {
  const auto list = parse_page_list(text_of(input));
  if (!list) return;
  std::uint64_t pages = 0;
  for (const ListedRun& run : *list) {
    pages += run.pages;
    fuzz_require(is_aligned(run.start.value, kFrameSize), "a run starts at a page");
    const std::uint64_t last = (run.start.value >> kFrameShift) + run.pages;
    fuzz_require(run.pages == 0 || last - 1 <= UINT64_MAX >> kFrameShift, "a run ends in memory");
  }
  fuzz_require(pages > 0 && pages <= kMaxListedPages, "a named limit");
}

std::vector<std::vector<std::byte>> page_list_seeds() {
  return {bytes_of_text("# two\n0xffff888000000000 2\n\n18446744071562067968 1 # text\n"),
          bytes_of_text("0xfffffffffffff000 1\n0 1048575")};
}

const std::string kUuid = "u";

/// A state directory with what the input says was about to be written.
StateDirectory& states(std::span<const std::byte> rewrite) {
  static const Scratch scratch;
  static StateDirectory states(scratch.path(), "");
  std::filesystem::create_directory(scratch.path() + "/domains");
  scratch.put("domains/" + kUuid + ".rewrite", rewrite);
  return states;
}

void read_rewrite(std::span<const std::byte> input) {
  DomainRecord record;
  record.uuid = kUuid;
  StateDirectory& directory = states(input);
  const auto rewrite = directory.load_rewrite(record);
  if (!rewrite) return;
  fuzz_require(
      rewrite->elf_header.size() + rewrite->node.size() + rewrite->header.size() < input.size(),
      "a rewrite is in its file");
  fuzz_require(directory.save_rewrite(record, *rewrite).has_value(), "a rewrite can be written");
  const auto again = directory.load_rewrite(record);
  fuzz_require(again && again->elf_header == rewrite->elf_header && again->node == rewrite->node &&
                   again->header == rewrite->header && again->node_offset == rewrite->node_offset,
               "a rewrite comes back as it was");
}

std::vector<std::vector<std::byte>> rewrite_seeds() {
  std::vector<std::byte> bytes;
  const auto append = [&bytes](std::uint64_t offset, std::size_t length) {
    const std::uint64_t head[] = {offset, length};
    const auto raw = std::as_bytes(std::span(head));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
    bytes.resize(bytes.size() + length, std::byte{7});
  };
  append(4096, 700);
  append(8192, 300);
  append(0, 256);
  return {bytes};
}

constexpr unsigned kVcpus = 2;

template <typename T>
void append_record(std::vector<std::byte>& out, unsigned type, unsigned instance, const T& data) {
  hvm_save_descriptor descriptor{};
  descriptor.typecode = static_cast<std::uint16_t>(type);
  descriptor.instance = static_cast<std::uint16_t>(instance);
  descriptor.length = sizeof(data);
  for (const auto raw :
       {std::as_bytes(std::span(&descriptor, 1)), std::as_bytes(std::span(&data, 1))})
    out.insert(out.end(), raw.begin(), raw.end());
}

void make_context(std::span<const std::byte> input) {
  const auto context = make_boot_context(input, kVcpus, GuestPhys{0x1000000}, GuestPhys{0x6000});
  if (!context) return;
  const auto same = [&](unsigned type) {
    return std::ranges::equal(find_hvm_record(input, type, 0), find_hvm_record(*context, type, 0));
  };
  fuzz_require(same(HVM_SAVE_CODE(HEADER)), "the header stays");
  for (unsigned vcpu = 0; vcpu < kVcpus; ++vcpu)
    fuzz_require(find_hvm_record(*context, HVM_SAVE_CODE(LAPIC_REGS), vcpu).size() ==
                     sizeof(hvm_hw_lapic_regs),
                 "every vCPU has a local APIC");
  hvm_hw_cpu cpu;
  const auto found = find_hvm_record(*context, HVM_SAVE_CODE(CPU), 0);
  fuzz_require(found.size() == sizeof(cpu), "vCPU 0 has registers");
  std::memcpy(&cpu, found.data(), sizeof(cpu));
  fuzz_require(cpu.rip == 0x1000000 && cpu.rbx == 0x6000 && cpu.cr3 == 0,
               "vCPU 0 starts where it is told to");
}

std::vector<std::vector<std::byte>> context_seeds() {
  std::vector<std::byte> context;
  append_record(context, HVM_SAVE_CODE(HEADER), 0, hvm_save_header{});
  for (unsigned vcpu = 0; vcpu < kVcpus; ++vcpu) {
    append_record(context, HVM_SAVE_CODE(CPU), vcpu, hvm_hw_cpu{});
    append_record(context, HVM_SAVE_CODE(LAPIC), vcpu, hvm_hw_lapic{});
    append_record(context, HVM_SAVE_CODE(LAPIC_REGS), vcpu, hvm_hw_lapic_regs{});
    append_record(context, HVM_SAVE_CODE(MTRR), vcpu, hvm_hw_mtrr{});
  }
  return {context};
}

}  // namespace

const FuzzTarget kFuzzAnswer = {"answer", take_answer, answer_seeds};
const FuzzTarget kFuzzPolicies = {"policies", read_conf, conf_seeds};
const FuzzTarget kFuzzRecord = {"record", read_record, record_seeds};
const FuzzTarget kFuzzCaptureFacts = {"capture_facts", read_facts, facts_seeds};
const FuzzTarget kFuzzCaptureRecord = {"capture_record", read_capture_record, capture_record_seeds};
const FuzzTarget kFuzzPageList = {"page_list", read_page_list, page_list_seeds};
const FuzzTarget kFuzzRewrite = {"rewrite", read_rewrite, rewrite_seeds};
const FuzzTarget kFuzzHvmContext = {"hvm_context", make_context, context_seeds};

}  // namespace hadump
