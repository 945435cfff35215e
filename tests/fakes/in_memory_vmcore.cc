// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/in_memory_vmcore.h"

#include <algorithm>
#include <cstring>

namespace hadump {

InMemoryVmcore::InMemoryVmcore(FrameSet frames) {
  layout_.frames = std::move(frames);
  for (FrameRange range : layout_.frames.ranges())
    layout_.segments.push_back(
        {GuestVirt{0}, address_of(range.begin), range.bytes(), range.bytes(), 0});
}

std::vector<std::byte>& InMemoryVmcore::frame(Gfn gfn) {
  auto& content = contents_[gfn];
  content.resize(kFrameSize);
  return content;
}

InMemoryVmcore& InMemoryVmcore::fill(Gfn gfn, std::byte value) {
  std::fill(frame(gfn).begin(), frame(gfn).end(), value);
  return *this;
}

InMemoryVmcore& InMemoryVmcore::put(GuestPhys at, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t skip = at.value % kFrameSize;
    const std::size_t part = std::min(bytes.size(), kFrameSize - skip);
    std::memcpy(frame(frame_of(at)).data() + skip, bytes.data(), part);
    bytes = bytes.subspan(part);
    at.value += part;
  }
  return *this;
}

InMemoryVmcore& InMemoryVmcore::refuse(Gfn gfn) {
  faults_[gfn] = FrameStatus::kFailed;
  return *this;
}

InMemoryVmcore& InMemoryVmcore::leave_out(Gfn gfn) {
  faults_[gfn] = FrameStatus::kAbsent;
  return *this;
}

InMemoryVmcore& InMemoryVmcore::fail_next_read(int errno_value) {
  next_read_errno_ = errno_value;
  return *this;
}

InMemoryVmcore& InMemoryVmcore::set_vmcoreinfo(const std::string& text) {
  std::erase_if(layout_.notes, [](const ElfNote& note) { return note.name == "VMCOREINFO"; });
  ElfNote note{"VMCOREINFO", 0, std::vector<std::byte>(text.size())};
  if (!text.empty()) std::memcpy(note.desc.data(), text.data(), text.size());
  return add_note(std::move(note));
}

InMemoryVmcore& InMemoryVmcore::add_note(ElfNote note) {
  layout_.notes.push_back(std::move(note));
  return *this;
}

InMemoryVmcore& InMemoryVmcore::add_segment(LoadSegment segment) {
  layout_.segments.push_back(segment);
  return *this;
}

Result<> InMemoryVmcore::read(Gfn first, std::span<std::byte> out,
                              std::span<FrameStatus> status) const {
  {
    const std::lock_guard lock(mutex_);
    if (next_read_errno_) {
      const int errno_value = *next_read_errno_;
      next_read_errno_.reset();
      return fail_os(errno_value, "reading the dump in memory");
    }
  }
  for (std::size_t i = 0; i < status.size(); ++i) {
    const Gfn gfn{first.value + i};
    std::byte* row = out.data() + i * kFrameSize;
    std::memset(row, 0, kFrameSize);
    const auto fault = faults_.find(gfn);
    status[i] = !layout_.frames.contains(gfn) ? FrameStatus::kAbsent
                : fault != faults_.end()      ? fault->second
                                              : FrameStatus::kRead;
    const auto content = contents_.find(gfn);
    if (status[i] == FrameStatus::kRead && content != contents_.end())
      std::memcpy(row, content->second.data(), kFrameSize);
  }
  return {};
}

}  // namespace hadump
