// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "core/vmcore/byte_file.h"
#include "core/vmcore/frame_view.h"

namespace hadump {

/// Outcome for one frame of a batch.
enum class FrameStatus : std::uint8_t {
  kRead,    ///< The frame's bytes are in the buffer.
  kAbsent,  ///< Not in the dump: a hole, or left out by whoever wrote it. The bytes are zero.
  kFailed,  ///< In the dump, but unreadable (EIO, truncated, corrupt). The bytes are zero; what is
            ///< written from them must record the loss.
};

/// One PT_LOAD as the dump states it; a dump of another format has made-up ones, without `virt`.
struct LoadSegment {
  GuestVirt virt;                  ///< 0 when the dump does not say.
  GuestPhys phys;                  ///< Need not be frame-aligned.
  std::uint64_t memory_bytes = 0;  ///< Size in the guest.
  std::uint64_t file_bytes = 0;    ///< What of it the file has; the rest is absent.
  std::uint64_t file_offset = 0;   ///< Where; anywhere in the file, in no order (relocated memory).
  bool operator==(const LoadSegment&) const = default;
};

/// One ELF note, padding removed.
struct ElfNote {
  std::string name;  ///< "CORE", "VMCOREINFO", …, without the final NUL.
  std::uint32_t type = 0;
  std::vector<std::byte> desc;
};

/// NR_CPUS of x86 at most (MAXSMP); a file may claim more.
inline constexpr std::size_t kMaxCpus = 8192;
inline constexpr std::uint32_t kNotePrstatus = 1;  ///< NT_PRSTATUS, name "CORE".

/// What the header of a dump says, where its format has such a header, and what may be nowhere else
/// in it: what was left out cannot be read any more. Empty or 0 when it does not say.
struct HeaderFacts {
  unsigned dump_level = 0;  ///< What the dump leaves out already.
  std::uint64_t crash_time_s = 0;
  std::uint64_t phys_base = 0;  ///< Two's complement.
  std::string sysname, nodename, release, version, domainname;
};

/// What a dump says about itself before any page of it is read.
struct VmcoreLayout {
  /// The machine's memory as far as the dump covers it. A frame in it may still be kAbsent (a
  /// filtered dump); one outside always is.
  FrameSet frames;
  /// What of it is known, without looking, to be kAbsent, or kFailed because the file ends before
  /// it. There may be more of both. A few bytes of a file can claim any amount of either, so
  /// whoever goes through a dump passes over them as ranges.
  FrameSet absent;
  FrameSet lost;
  /// In the file's order. They may overlap in `phys`: Linux describes its own text twice.
  std::vector<LoadSegment> segments;
  /// All notes, in the file's order: one PRSTATUS per CPU, VMCOREINFO, others.
  std::vector<ElfNote> notes;
  /// Dumps of devices (VMCOREDD) for which kMaxNoteBytes left no room: not in `notes`.
  std::uint64_t device_dump_bytes_left_out = 0;
  /// The dump's own statement that it is not whole (ELF e_flags, diskdump status).
  bool incomplete = false;
  HeaderFacts header;
};

/// The PRSTATUS notes, in the file's order. The pointers live as long as `layout`.
std::vector<const ElfNote*> cpu_notes(const VmcoreLayout& layout);

/// The text of the VMCOREINFO note ("KEY=VALUE" lines), empty when there is none.
std::string_view vmcoreinfo_text(const VmcoreLayout& layout);

/// The memory of a crashed machine, to read.
///
/// Implementations: ElfVmcoreSource (/proc/vmcore, ELF core files), KdumpVmcoreSource
/// (kdump-compressed files), InMemoryVmcore (tests/fakes).
///
/// Threads: every function may be called from several threads at once on one object.
/// Consistency: frames that are given back to the running system must not be read any more, and
/// views of them must be gone first. This class does not check.
class VmcoreSource {
 public:
  virtual ~VmcoreSource() = default;

  /// Valid and unchanging for the life of this object.
  virtual const VmcoreLayout& layout() const = 0;

  /// Copies consecutive frames, starting at `first`.
  ///
  /// @param out     [status.size()][kFrameSize] bytes; row i is frame first + i.
  /// @param status  [n], n >= 1; every element is written when the result is Ok.
  /// @return Ok when the batch ran, even if every single frame failed: look at `status`.
  ///         kOs when no frame could be tried at all (bad descriptor, no memory).
  /// @pre out.size() == status.size() * kFrameSize.
  virtual Result<> read(Gfn first, std::span<std::byte> out,
                        std::span<FrameStatus> status) const = 0;

  /// A window onto a non-empty prefix of `range`: as much as lies together in the dump, at most
  /// kMaxViewBytes. Call again for the rest. Zero-copy where the dump can be mapped.
  ///
  /// @return kNotFound when the first frame is absent; kOs or kBadData when it cannot be read.
  /// @pre range is not empty.
  virtual Result<FrameView> map(FrameRange range) const = 0;

  /// The frames of `range` that are in the dump, by its tables: the others read as kAbsent.
  virtual Result<FrameSet> present_in(FrameRange range) const;

  /// Whether map() is the cheaper way to frames that are all looked at, once.
  virtual bool prefers_mapping() const { return false; }
};

/// Largest window that map() gives: bounds what mappings add to a process's resident size.
inline constexpr std::uint64_t kMaxViewBytes = 4_MiB;

/// What map() gives where there is nothing to map: the same contract, by read(). For
/// implementations and decorators.
Result<FrameView> copy_view(const VmcoreSource& source, FrameRange range);

}  // namespace hadump
