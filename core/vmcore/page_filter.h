// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

/// What a page of the crashed kernel was used for, as far as the dump level cares.
enum class PageClass : std::uint8_t {
  kKeep,              ///< Kernel data, or anything that could not be told: never left out.
  kZero,              ///< Bytes all zero. Found by the writer, never by a filter.
  kCacheNonPrivate,   ///< Page cache without private data: level bit 2 (and 4).
  kCachePrivate,      ///< Page cache with private data: level bit 4.
  kUser,              ///< User memory, anonymous or hugetlb: level bit 8.
  kFree,              ///< Free (buddy, unaccepted): level bit 16.
  kHardwarePoisoned,  ///< Reading it may kill the machine: left out at every level.
  kOffline,           ///< Logically offline (balloon and the like): left out at every level.
};
inline constexpr std::size_t kPageClasses = 8;

/// Level bits as makedumpfile's manual page gives them for -d; 0 to kMaxDumpLevel.
inline constexpr unsigned kMaxDumpLevel = 31;
inline constexpr unsigned kLevelZero = 1;

/// True when a dump of this level leaves pages of this class out. Bit 4 stands for the whole page
/// cache, not only its private part (makedumpfile.c, __exclude_unnecessary_pages).
constexpr bool is_left_out(PageClass page_class, unsigned level) {
  switch (page_class) {
    case PageClass::kKeep:
      return false;
    case PageClass::kZero:
      return (level & kLevelZero) != 0;
    case PageClass::kCacheNonPrivate:
      return (level & (2U | 4U)) != 0;
    case PageClass::kCachePrivate:
      return (level & 4U) != 0;
    case PageClass::kUser:
      return (level & 8U) != 0;
    case PageClass::kFree:
      return (level & 16U) != 0;
    case PageClass::kHardwarePoisoned:
    case PageClass::kOffline:
      return true;
  }
  return false;
}

/// Consecutive frames of one class.
struct PageRun {
  FrameRange frames;
  PageClass page_class = PageClass::kKeep;
};

/// Says what pages are for; the writer's view of the page classifier.
///
/// Threads: classify() is called from several workers at once on one object.
class PageFilter {
 public:
  virtual ~PageFilter() = default;

  /// Appends the runs of `range` to `runs`: ascending, adjacent, covering exactly `range`. The
  /// caller keeps the vector's capacity from call to call.
  ///
  /// A page whose class cannot be told is kKeep; that is not an error.
  /// @return kOs when the tables that tell the class could not be read at all: the writer then
  ///         keeps every page of `range` and counts it as unclassified.
  virtual Result<> classify(FrameRange range, std::vector<PageRun>& runs) const = 0;
};

}  // namespace hadump
