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
  const FrameSet frames = facts.survey.dumped();
  auto found = find_vmcoreinfo(memory, frames);
  if (!found) return fail(std::move(found), "searching for VMCOREINFO");
  if (*found) {
    auto note = read_vmcoreinfo(memory, frames, **found);
    if (!note) return fail(std::move(note));
    facts.vmcoreinfo_note = std::move(*note);
  }
  facts.page_offset = find_page_offset(memory, frames, facts.vcpus).value_or(GuestVirt{});
  return facts;
}

DomainVmcore::DomainVmcore(const GuestMemory& memory, const DomainFacts& facts)
    : memory_(memory), readable_(facts.survey.dumped()) {
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

FrameStatus DomainVmcore::status_of(const FrameMapping& mapping, std::size_t index) const {
  const Gfn gfn{mapping.range().begin.value + index};
  if (!layout_.frames.contains(gfn)) return FrameStatus::kAbsent;
  return readable_.contains(gfn) && mapping.present(index) ? FrameStatus::kRead
                                                           : FrameStatus::kFailed;
}

Result<> DomainVmcore::read(Gfn first, std::span<std::byte> out,
                            std::span<FrameStatus> status) const {
  const FrameRange range{first, Gfn{first.value + status.size()}};
  auto mapping = memory_.map(range, Access::kRead);
  if (!mapping) return fail(std::move(mapping));
  if (readable_.contains(range) && mapping->all_present()) {
    std::memcpy(out.data(), mapping->bytes().data(), out.size());
    std::fill(status.begin(), status.end(), FrameStatus::kRead);
    return {};
  }
  for (std::size_t i = 0; i < status.size(); ++i) {
    std::byte* row = out.data() + i * kFrameSize;
    status[i] = status_of(*mapping, i);
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
  range = readable.ranges().front();
  auto mapping = memory_.map(range, Access::kRead);
  if (!mapping) return fail(std::move(mapping));
  std::size_t present = 0;
  while (present < range.frames() && mapping->present(present)) ++present;
  if (present == 0) return fail(ErrorCode::kBadData, "the frame cannot be read");
  range.end = Gfn{range.begin.value + present};
  const std::byte* data = mapping->bytes().data();
  return FrameView(range, data, std::move(*mapping));
}

}  // namespace hadump
