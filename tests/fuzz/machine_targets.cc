// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstring>

#include "core/vmcore/kernel_identity.h"
#include "core/vmcore/kernel_log.h"
#include "core/vmcore/page_classifier.h"
#include "tests/fakes/linux_machine.h"
#include "tests/fuzz/targets.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMachineFrames = 0x1000;  // a few thousand say as much as all, and sooner
constexpr std::size_t kMaxPageBytes = 64 * 1024;
constexpr std::uint64_t kRing = 0xFFFFFFFF82040000;  // linux_machine.cc
constexpr std::size_t kMaxRingBytes = 0x4000;

/// Runs cover exactly what was asked, in order.
void check_runs(const PageClassifier& classifier, FrameRange range) {
  std::vector<PageRun> runs;
  fuzz_require(classifier.classify(range, runs).has_value(), "classify() does not fail");
  Gfn at = range.begin;
  for (const PageRun& run : runs) {
    fuzz_require(run.frames.begin == at && run.frames.end > at, "runs are adjacent");
    at = run.frames.end;
  }
  fuzz_require(at == range.end, "runs end with the range");
}

/// What goes into a dump's header is short and printable, whatever the guest had there.
void check_identity(const VmcoreSource& dump) {
  const KernelIdentity found = identify_kernel(dump);
  for (const std::string* text : {&found.sysname, &found.nodename, &found.release, &found.version,
                                  &found.machine, &found.domainname})
    fuzz_require(!text->empty() && text->size() < 65, "a name has one to 64 characters");
  for (const std::string* text : {&found.nodename, &found.release, &found.version})
    fuzz_require(std::ranges::all_of(*text, [](char c) { return c >= ' ' && c <= '~'; }),
                 "a name is printable");
  fuzz_require((found.image.memory_bytes == 0) == (found.image.virt.value == 0),
               "an image is somewhere");
}

void classify_all(const VmcoreSource& dump) {
  check_identity(dump);
  const auto classifier = PageClassifier::open(dump);
  if (!classifier) return;
  check_runs(**classifier, {Gfn{0}, Gfn{kMachineFrames}});
  check_runs(**classifier, {Gfn{0x3FF}, Gfn{0x401}});
  fuzz_require((*classifier)->kept_unknown().frames() <= 2 * kMachineFrames,
               "losses are counted once");
  const FrameUses uses = (*classifier)->metadata_uses();
  Gfn behind;
  for (const FrameUse& use : uses.uses()) {
    fuzz_require(use.frames.begin >= behind && use.frames.begin < use.frames.end,
                 "uses are ascending");
    fuzz_require(use.used_for.begin < use.used_for.end, "a use has a purpose");
    behind = use.frames.end;
  }
}

/// The first byte chooses the kernel, the rest lies over the struct pages from frame 0 on.
void classify_pages(std::span<const std::byte> input) {
  if (input.empty()) return;
  const auto choice = std::to_integer<unsigned>(input[0]);
  LinuxMachine machine({.style = static_cast<KernelStyle>(choice % 4),
                        .levels = (choice & 4) != 0 ? 5U : 4U,
                        .sections = 2,
                        .page_struct = (choice & 8) != 0 ? 56U : 64U});
  machine.put_page_bytes(0, input.subspan(1, std::min(input.size() - 1, kMaxPageBytes)));
  classify_all(machine.finish());
}

std::vector<std::vector<std::byte>> page_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  for (unsigned style = 0; style < 4; ++style) {
    LinuxMachine machine({.style = static_cast<KernelStyle>(style), .sections = 2});
    machine.set_free_block(0, 4)
        .set_compound(16, 4, {LinuxMachine::kLru, LinuxMachine::kAnonMapping, 0})
        .set_compound(32, 3, {}, /*hugetlb=*/true)
        .set_page(40, {LinuxMachine::kLru | LinuxMachine::kPrivate, 0, 0})
        .set_offline(41)
        .set_slab(42, 1);
    std::vector<std::byte> seed{static_cast<std::byte>(style)};
    const auto view = machine.dump.map(
        {machine.frame_of_page_struct(0), Gfn{machine.frame_of_page_struct(0).value + 1}});
    seed.insert(seed.end(), view->bytes().begin(), view->bytes().end());
    seeds.push_back(std::move(seed));
  }
  return seeds;
}

/// The input is the machine's whole VMCOREINFO.
void use_vmcoreinfo(std::span<const std::byte> input) {
  LinuxMachine machine({.sections = 2});
  machine.add_log(0, "x");
  machine.finish();
  machine.dump.set_vmcoreinfo(
      std::string(reinterpret_cast<const char*>(input.data()), input.size()));
  classify_all(machine.dump);
  static_cast<void>(kernel_log(machine.dump));
}

std::vector<std::vector<std::byte>> vmcoreinfo_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  for (unsigned style = 0; style < 4; ++style) {
    LinuxMachine machine({.style = static_cast<KernelStyle>(style), .sections = 2});
    machine.info["SYMBOL(_stext)"] = "ffffffff82000000";
    seeds.push_back(bytes_of_text(std::string(vmcoreinfo_text(machine.finish().layout()))));
  }
  return seeds;
}

/// A word of the machine's own structures becomes another one.
struct Patch {
  std::uint16_t page = 0;
  std::uint16_t word = 0;
  std::uint32_t unused = 0;
  std::uint64_t value = 0;
};

// Frames from the top table on (linux_machine.cc): it, names, ring, section tables, page tables.
constexpr std::uint64_t kTopTable = 0x4000;
constexpr std::uint16_t kPatched[] = {0,    1,    2,    0x11, 0x21, 0x81, 0x82, 0x83, 0x84, 0x85,
                                      0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F};
constexpr std::size_t kMaxPatches = 64;

/// The first byte chooses the kernel, patches follow.
void patch_machine(std::span<const std::byte> input) {
  if (input.empty()) return;
  const auto choice = std::to_integer<unsigned>(input[0]);
  input = input.subspan(1);
  LinuxMachine machine({.style = static_cast<KernelStyle>(choice % 4),
                        .levels = (choice & 4) != 0 ? 5U : 4U,
                        .sections = 1,
                        .extreme = (choice & 8) == 0});
  machine.info["SYMBOL(_stext)"] = "ffffffff82000000";
  machine.add_log(0, "x");
  machine.finish();
  for (std::size_t i = 0; i < kMaxPatches && input.size() >= sizeof(Patch); ++i) {
    Patch patch;
    std::memcpy(&patch, input.data(), sizeof(patch));
    input = input.subspan(sizeof(patch));
    const std::uint64_t frame = kTopTable + kPatched[patch.page % std::size(kPatched)];
    machine.dump.put(GuestPhys{(frame << kFrameShift) + patch.word % 512 * 8},
                     std::as_bytes(std::span(&patch.value, 1)));
  }
  classify_all(machine.dump);
  static_cast<void>(kernel_log(machine.dump));
}

std::vector<std::vector<std::byte>> machine_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  const auto add = [&seeds](unsigned choice, const std::vector<Patch>& patches) {
    std::vector<std::byte> seed{static_cast<std::byte>(choice)};
    const auto bytes = std::as_bytes(std::span(patches));
    seed.insert(seed.end(), bytes.begin(), bytes.end());
    seeds.push_back(std::move(seed));
  };
  for (const unsigned choice : {0U, 7U, 9U})
    add(choice, {{1, 16, 0, 0x58}, {4, 0, 0, 0xFFFFEA000000000F}});
  // The direct map's entry of the top table leads to that table itself, or is a large page.
  for (const std::uint64_t value : {0x4000003ULL, 0x4000083ULL, 0x000FFFFFFFFFF083ULL})
    add(0, {{0, 273, 0, value}, {6, 0, 0, value}, {7, 0, 0, value}});
  return seeds;
}

/// The input lies over the printk ring with its descriptors and text.
void read_log(std::span<const std::byte> input) {
  LinuxMachine machine({.sections = 1});
  machine.add_log(0, "x");
  machine.finish();
  machine.put(kRing, input.first(std::min(input.size(), kMaxRingBytes)));
  const auto log = kernel_log(machine.dump);
  fuzz_require(!log || log->size() <= kMaxLogBytes + 100, "a log has a bound");
}

std::vector<std::vector<std::byte>> log_seeds() {
  LinuxMachine machine({.sections = 1});
  for (std::size_t i = 0; i < 10; ++i) machine.add_log(i * 1000, "line\n" + std::string(i, '\x01'));
  const InMemoryVmcore& dump = machine.finish();
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(dump.layout()));
  std::vector<std::byte> seed(kMaxRingBytes);
  fuzz_require(AddressSpace::open(dump, *info)->read(GuestVirt{kRing}, seed).has_value(), "seed");
  return {seed};
}

}  // namespace

const FuzzTarget kFuzzPages = {"pages", classify_pages, page_seeds};
const FuzzTarget kFuzzVmcoreinfo = {"vmcoreinfo", use_vmcoreinfo, vmcoreinfo_seeds};
const FuzzTarget kFuzzMachine = {"machine", patch_machine, machine_seeds};
const FuzzTarget kFuzzLog = {"log", read_log, log_seeds};

}  // namespace hadump
