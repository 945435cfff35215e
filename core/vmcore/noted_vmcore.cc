// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/noted_vmcore.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/vmcore/vmcoreinfo.h"
#include "core/vmcore/vmcoreinfo_note.h"

namespace hadump {
namespace {

constexpr const char* kName = "VMCOREINFO";

class NotedVmcore : public VmcoreSource {
 public:
  NotedVmcore(std::unique_ptr<VmcoreSource> inner, std::string_view text)
      : inner_(std::move(inner)), layout_(inner_->layout()) {
    std::erase_if(layout_.notes, [](const ElfNote& note) { return note.name == kName; });
    const auto bytes = std::as_bytes(std::span(text));
    layout_.notes.push_back({kName, 0, {bytes.begin(), bytes.end()}});
  }

  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    return inner_->read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override { return inner_->map(range); }
  Result<FrameSet> present_in(FrameRange range) const override { return inner_->present_in(range); }
  bool prefers_mapping() const override { return inner_->prefers_mapping(); }

 private:
  std::unique_ptr<VmcoreSource> inner_;
  VmcoreLayout layout_;
};

/// The text of the note at the beginning of this page; empty when it is none.
Result<std::string> text_at(const VmcoreSource& source, Gfn gfn) {
  constexpr std::size_t kFrames = kMaxVmcoreinfoNoteBytes / kFrameSize;
  std::vector<std::byte> bytes(kFrames * kFrameSize);
  std::array<FrameStatus, kFrames> status{};
  if (auto r = source.read(gfn, bytes, status); !r) return fail(std::move(r));
  const auto note = check_vmcoreinfo_note(bytes);
  if (!note) return std::string();
  const auto text = text_of_vmcoreinfo_note(*note);
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

Result<std::string> find_text(const VmcoreSource& source) {
  constexpr std::uint64_t kBatch = 64;
  FrameSet readable = source.layout().frames;
  readable.erase(source.layout().absent);
  readable.erase(source.layout().lost);
  std::vector<std::byte> bytes(kBatch * kFrameSize);
  std::array<FrameStatus, kBatch> status{};
  for (FrameRange piece : vmcoreinfo_search_order(readable, kMaxSearchedMemory >> kFrameShift))
    for (Gfn at = piece.begin; at < piece.end; at.value += kBatch) {
      const auto frames = static_cast<std::size_t>(std::min(kBatch, piece.end.value - at.value));
      const auto batch = std::span(bytes).first(frames * kFrameSize);
      if (auto r = source.read(at, batch, std::span(status).first(frames)); !r)
        return fail(std::move(r));
      for (std::size_t i = 0; i < frames; ++i) {
        if (!is_vmcoreinfo_note(batch.subspan(i * kFrameSize, kFrameSize))) continue;
        auto text = text_at(source, Gfn{at.value + i});
        if (!text || !text->empty()) return text;
      }
    }
  return std::string();
}

}  // namespace

Result<std::unique_ptr<VmcoreSource>> with_vmcoreinfo(std::unique_ptr<VmcoreSource> source,
                                                      std::string_view text) {
  const auto info = Vmcoreinfo::parse(text);
  if (!info || !info->text("OSRELEASE"))
    return fail(ErrorCode::kBadData, "not a VMCOREINFO: it has no line OSRELEASE=…");
  return std::make_unique<NotedVmcore>(std::move(source), text);
}

Result<std::unique_ptr<VmcoreSource>> with_found_vmcoreinfo(std::unique_ptr<VmcoreSource> source) {
  if (!vmcoreinfo_text(source->layout()).empty()) return source;
  auto text = find_text(*source);
  if (!text) return fail(std::move(text), "searching for VMCOREINFO");
  if (text->empty()) return source;
  return with_vmcoreinfo(std::move(source), *text);
}

}  // namespace hadump
