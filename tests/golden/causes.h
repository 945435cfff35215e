// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "tests/golden/struct_pages.h"

namespace hadump::golden {

/// A page that one of two dumps of a sample has and the other has not.
struct Difference {
  std::uint64_t frame = 0;
  bool ours = false;  ///< We have it.
  unsigned level = 0;
};

/// Says why single pages differ. Each cause is looked for on the page itself:
///
///   partial  a PT_LOAD ends inside the frame: makedumpfile drops it, we keep what is there
///   folio    a tail of a large folio whose head the level leaves out, on a kernel that does not
///            say the order where makedumpfile before 1.7.6 looks: it keeps the tails
///   hugetlb  a hugetlb page on a kernel that marks it by a page type: makedumpfile before 1.7.6
///            does not know that and keeps the page
///   slab     a slab page without PG_slab whose word in the place of `mapping` is odd: makedumpfile
///            before 1.7.6 takes it for anonymous memory (its commit bad2a7c)
///   tail     a tail whose word in the place of `mapping` is odd, on a kernel that calls the tail
///            mark compound_info: makedumpfile before 1.8.0 knows no tails there and takes it for
///            anonymous memory (its commit f50c015). It knows no folios there, either.
class Causes {
 public:
  /// @param makedumpfile  its version, as version_number() has it.
  Causes(const VmcoreSource& sample, unsigned makedumpfile);

  /// The cause's name, null when none applies to this page.
  const char* of(const Difference& difference) const;
  /// The words of the page and its head, for one whose cause is unknown.
  std::string describe(std::uint64_t frame) const;

 private:
  bool is_partial(std::uint64_t frame) const;
  const char* of_ours(const Difference& difference, const PageWords& words) const;
  const char* of_theirs(const Difference& difference, const PageWords& words) const;
  /// Whether the level leaves out the compound page that begins at `head` and covers `frame`.
  bool leaves_out_folio(std::uint64_t head, std::uint64_t frame, unsigned level) const;

  StructPages pages_;
  FrameSet partial_;
  bool knows_new_kernels_;
  bool knows_tails_;
  bool order_in_flags_;
};

/// The numbers of "makedumpfile: version 1.7.2 (…": major.minor.patch as one number.
unsigned version_number(std::string_view text);

}  // namespace hadump::golden
