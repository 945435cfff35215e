// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"

namespace hadump {

/// The longest VMCOREINFO note that is believed; Linux's takes one page or two.
inline constexpr std::size_t kMaxVmcoreinfoNoteBytes = 64 << 10;

/// Whether a page of memory begins like the note.
bool is_vmcoreinfo_note(std::span<const std::byte> page);

/// The VMCOREINFO note at the start of `bytes`: the part of `bytes` that is the note, padding
/// included. kBadData when it is none: wrong name or type, longer than kMaxVmcoreinfoNoteBytes or
/// than `bytes`, or a text without an OSRELEASE line first.
Result<std::span<const std::byte>> check_vmcoreinfo_note(std::span<const std::byte> bytes);

/// The text of a note that check_vmcoreinfo_note() has accepted; empty for an empty one.
std::span<const std::byte> text_of_vmcoreinfo_note(std::span<const std::byte> note);

/// The note with the line "CRASHTIME=SECONDS", which Linux itself adds when it goes over to a kexec
/// crash kernel (crash_save_vmcoreinfo(), kernel/crash_core.c) and readers of dumps look for.
/// @param note        checked; or empty.
/// @param crash_time  seconds since 1970; 0 when not known.
/// @return as it was, where there is no note, the time is not known, the note has such a line, or
/// would
///         become too long by it.
std::vector<std::byte> with_crash_time(std::vector<std::byte> note, std::uint64_t crash_time);

/// Pieces to search for the note, which begins a page: from the lowest and the highest memory in
/// turn, until `limit` frames are in it.
std::vector<FrameRange> vmcoreinfo_search_order(const FrameSet& memory, std::uint64_t limit);

}  // namespace hadump
