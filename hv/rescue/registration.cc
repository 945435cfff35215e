// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/registration.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"
#include "hv/domain/page_offset.h"

namespace hadump {
namespace {

constexpr std::size_t kMaxProgressText = 200;

const std::string* find(const GuestKeys& keys, const char* key) {
  const auto found = keys.find(key);
  return found == keys.end() || found->second.empty() ? nullptr : &found->second;
}

// In a list with a blank between its words. Those that are not known say nothing.
bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Of a line like "saving  42% of 1 GiB, …": one word, blanks, a percentage.
std::optional<unsigned> percent_in(std::string_view line) {
  line.remove_prefix(std::min(line.find(' '), line.size()));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::size_t digits = line.find('%');
  if (digits == std::string_view::npos || digits > 3) return {};
  auto percent = parse_decimal(line.substr(0, digits));
  if (!percent || *percent > 100) return {};
  return static_cast<unsigned>(*percent);
}

// "0xADDRESS 0xLENGTH", not empty, not beyond what any guest can address.
Result<PhysRange> parse_range(const char* key, const std::string& text) {
  const auto bad = [&](const char* why) {
    return fail(ErrorCode::kBadData, fmt::format("{}: {}", key, why));
  };
  const std::size_t blank = text.find(' ');
  if (text.size() > HADUMP_XS_MAX_VALUE || blank == std::string::npos)
    return bad("not an address and a length");
  auto address = parse_hex(std::string_view(text).substr(0, blank));
  auto bytes = parse_hex(std::string_view(text).substr(blank + 1));
  if (!address || !bytes) return bad("not an address and a length");
  if (*bytes == 0 || *bytes > HADUMP_MAX_ADDRESS || *address > HADUMP_MAX_ADDRESS - *bytes)
    return bad("an impossible range");
  return PhysRange{GuestPhys{*address}, *bytes};
}

Result<FrameRange> check_save_area(const PhysRange& area, const WindowPlan& plan,
                                   std::uint64_t reserve) {
  const auto bad = [](const char* why) {
    return fail(ErrorCode::kBadData, fmt::format("{}: {}", HADUMP_XS_SAVE_AREA, why));
  };
  if (!is_aligned(area.address.value, HADUMP_SAVE_ALIGN) ||
      !is_aligned(area.bytes, HADUMP_SAVE_ALIGN))
    return bad("not aligned to 2 MiB");
  const FrameRange frames = frames_of_bytes(area.address.value, area.bytes);
  if (!plan.held.contains(frames)) return bad("not inside the memory above the window");
  if (area.bytes < reserve) return bad("too short");
  return frames;
}

Result<> check_addresses(const GuestKeys& keys, const FrameSet& ram, Registration& out) {
  if (const std::string* text = find(keys, HADUMP_XS_VMCOREINFO)) {
    auto range = parse_range(HADUMP_XS_VMCOREINFO, *text);
    if (!range) return fail(std::move(range));
    const std::uint64_t end = range->address.value + range->bytes;
    if (range->bytes > HADUMP_MAX_VMCOREINFO ||
        !ram.contains({frame_of(range->address), Gfn{round_up(end, kFrameSize) >> kFrameShift}}))
      return fail(ErrorCode::kBadData, "vmcoreinfo: not inside the guest's memory");
    out.vmcoreinfo = *range;
  }
  if (const std::string* text = find(keys, HADUMP_XS_PAGE_OFFSET)) {
    auto address = parse_hex(*text);
    if (!address || !is_plausible_page_offset(GuestVirt{*address}))
      return fail(ErrorCode::kBadData, "page-offset: not the start of a direct mapping");
    out.page_offset = GuestVirt{*address};
  }
  return {};
}

}  // namespace

Result<Registration> check_registration(const GuestKeys& keys, const FrameSet& ram,
                                        const WindowPlan& plan, std::uint64_t reserve) {
  const std::string* version = find(keys, HADUMP_XS_VERSION);
  if (version == nullptr) return fail(ErrorCode::kNotFound, "not registered");
  if (*version != std::to_string(HADUMP_ABI_VERSION))
    return fail(ErrorCode::kBadData, "version: unknown");
  Registration out;
  if (auto done = check_addresses(keys, ram, out); !done) return fail(std::move(done));
  if (const std::string* text = find(keys, HADUMP_XS_MODE)) {
    auto mode = parse_save_mode(*text);
    // The text itself is not repeated: it is the guest's, and goes to a log.
    if (!mode) return fail(ErrorCode::kBadData, "mode: unknown");
    out.mode = *mode;
  }
  if (const std::string* text = find(keys, HADUMP_XS_ABILITIES))
    out.can_rescue = has_word(*text, HADUMP_ABILITY_RESCUE);
  if (out.mode == SaveMode::kRegistered) {
    const std::string* text = find(keys, HADUMP_XS_SAVE_AREA);
    if (text == nullptr) return fail(ErrorCode::kBadData, "save-area: missing");
    auto range = parse_range(HADUMP_XS_SAVE_AREA, *text);
    if (!range) return fail(std::move(range));
    auto area = check_save_area(*range, plan, reserve);
    if (!area) return fail(std::move(area));
    out.save_area = *area;
  }
  return out;
}

std::string_view to_string(GuestState state) {
  switch (state) {
    case GuestState::kNone:
      return "none";
    case GuestState::kRegistered:
      return HADUMP_STATE_REGISTERED;
    case GuestState::kWaiting:
      return HADUMP_STATE_WAITING;
    case GuestState::kSaving:
      return HADUMP_STATE_SAVING;
    case GuestState::kDone:
      return HADUMP_STATE_DONE;
  }
  return "none";
}

GuestProgress check_progress(const GuestKeys& keys, const FrameSet& ram) {
  GuestProgress progress;
  if (const std::string* text = find(keys, HADUMP_XS_STATE))
    for (GuestState state :
         {GuestState::kRegistered, GuestState::kWaiting, GuestState::kSaving, GuestState::kDone})
      if (*text == to_string(state)) progress.state = state;
  if (const std::string* text = find(keys, HADUMP_XS_DUMP_ID))
    if (text->size() == 2 * sizeof(DumpId) &&
        text->find_first_not_of("0123456789abcdef") == std::string::npos)
      progress.dump_id = *text;
  if (const std::string* text = find(keys, HADUMP_XS_MEM_HELD))
    if (auto bytes = parse_decimal(*text); bytes && *bytes <= ram.bytes())
      progress.held_bytes = *bytes;
  if (const std::string* text = find(keys, HADUMP_XS_BOOT_MEMORY))
    if (auto kib = parse_decimal(*text); kib && *kib <= ram.bytes() >> 10)
      progress.boot_bytes = *kib << 10;
  if (const std::string* text = find(keys, HADUMP_XS_PROGRESS))
    if (text->size() <= kMaxProgressText && is_printable(*text)) {
      progress.text = *text;
      progress.saved_percent = percent_in(*text);
    }
  return progress;
}

}  // namespace hadump
