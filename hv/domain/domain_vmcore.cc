// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/domain_vmcore.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hv/domain/cpu_notes.h"
#include "hv/domain/page_offset.h"
#include "hv/domain/vmcoreinfo.h"

namespace hadump {

Result<DomainFacts> look_at_domain(const Domain& domain, const GuestMemory& memory,
                                   const FrameSet& ram, const FrameSet& near,
                                   const FrameSet& others) {
  DomainFacts facts;
  auto cpus = domain.cpu_state();
  if (!cpus) return fail(std::move(cpus), "saving the vCPUs");
  facts.vcpus = std::move(cpus->vcpus);
  auto survey = survey_frames(memory, ram, near, others);
  if (!survey) return fail(std::move(survey), "examining the guest's frames");
  facts.survey = std::move(*survey);
  if (auto done = find_kernel_facts(memory, facts); !done) return fail(std::move(done));
  return facts;
}

Result<> find_kernel_facts(const GuestMemory& memory, DomainFacts& facts) {
  const FrameSet frames = facts.survey.dumped();
  auto found = find_vmcoreinfo(memory, frames);
  if (!found) return fail(std::move(found), "searching for VMCOREINFO");
  if (*found) {
    auto note = read_vmcoreinfo(memory, frames, **found);
    if (!note) return fail(std::move(note));
    facts.vmcoreinfo_note = std::move(*note);
  }
  facts.page_offset = find_page_offset(memory, frames, facts.vcpus).value_or(GuestVirt{});
  return {};
}

DomainVmcore::DomainVmcore(const GuestMemory& memory, const DomainFacts& facts)
    : memory_(memory), readable_(facts.survey.dumped()), moved_(facts.moved) {
  layout_.frames = readable_;
  layout_.frames.insert(facts.survey.broken);
  layout_.notes = notes_of(facts.vcpus, facts.vmcoreinfo_note);
  for (FrameRange range : layout_.frames.ranges()) {
    const GuestPhys start = address_of(range.begin);
    const bool known = facts.page_offset.value != 0;
    layout_.segments.push_back(
        {.virt = known ? GuestVirt{facts.page_offset.value + start.value} : GuestVirt{},
         .phys = start,
         .memory_bytes = range.bytes(),
         .file_bytes = range.bytes(),
         .file_offset = start.value});
  }
}

FrameStatus DomainVmcore::status_of(Gfn gfn, bool present) const {
  if (!layout_.frames.contains(gfn)) return FrameStatus::kAbsent;
  return readable_.contains(gfn) && present ? FrameStatus::kRead : FrameStatus::kFailed;
}

// As much of the beginning of `range` as has its content in one piece.
DomainVmcore::Place DomainVmcore::place_of(FrameRange range) const {
  for (const MovedFrames& one : moved_) {
    if (one.from.end <= range.begin) continue;
    if (range.begin < one.from.begin) {
      range.end = std::min(range.end, one.from.begin);
      break;
    }
    range.end = std::min(range.end, one.from.end);
    return {range, Gfn{one.to.value + (range.begin.value - one.from.begin.value)}};
  }
  return {range, range.begin};
}

Result<> DomainVmcore::read(Gfn first, std::span<std::byte> out,
                            std::span<FrameStatus> status) const {
  while (!status.empty()) {
    const Place place = place_of({first, Gfn{first.value + status.size()}});
    const std::size_t frames = place.range.frames();
    auto done = read_place(place, out.first(frames * kFrameSize), status.first(frames));
    if (!done) return done;
    first = place.range.end;
    out = out.subspan(frames * kFrameSize);
    status = status.subspan(frames);
  }
  return {};
}

Result<> DomainVmcore::read_place(const Place& place, std::span<std::byte> out,
                                  std::span<FrameStatus> status) const {
  auto mapping = memory_.map({place.at, Gfn{place.at.value + status.size()}}, Access::kRead);
  if (!mapping) return fail(std::move(mapping));
  if (readable_.contains(place.range) && mapping->all_present()) {
    std::memcpy(out.data(), mapping->bytes().data(), out.size());
    std::fill(status.begin(), status.end(), FrameStatus::kRead);
    return {};
  }
  for (std::size_t i = 0; i < status.size(); ++i) {
    std::byte* row = out.data() + i * kFrameSize;
    status[i] = status_of(Gfn{place.range.begin.value + i}, mapping->present(i));
    if (status[i] == FrameStatus::kRead)
      std::memcpy(row, mapping->frame(i).data(), kFrameSize);
    else
      std::memset(row, 0, kFrameSize);
  }
  return {};
}

Result<FrameView> DomainVmcore::map(FrameRange range) const {
  if (!layout_.frames.contains(range.begin))
    return fail(ErrorCode::kNotFound, "the frame is not in the dump");
  range.end = std::min(range.end, Gfn{range.begin.value + (kMaxViewBytes >> kFrameShift)});
  // Only what may be touched: a prefix without frames that the hardware has reported as bad.
  const FrameSet readable = readable_.intersection(range);
  if (readable.empty() || readable.ranges().front().begin != range.begin)
    return fail(ErrorCode::kBadData, "the frame cannot be read");
  const Place place = place_of(readable.ranges().front());
  range = place.range;
  auto mapping = memory_.map({place.at, Gfn{place.at.value + range.frames()}}, Access::kRead);
  if (!mapping) return fail(std::move(mapping));
  std::size_t present = 0;
  while (present < range.frames() && mapping->present(present)) ++present;
  if (present == 0) return fail(ErrorCode::kBadData, "the frame cannot be read");
  range.end = Gfn{range.begin.value + present};
  const std::byte* data = mapping->bytes().data();
  return FrameView(range, data, std::move(*mapping));
}

}  // namespace hadump
