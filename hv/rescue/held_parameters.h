// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "hv/rescue/cmdline_words.h"

namespace hadump {

/// Collects what is held back of a command line, in the form of hadump.held=
/// (docs/abi/cmdline.md). Huge pages are told apart as Linux does (mm/hugetlb.c): their size is
/// that of the last `hugepagesz=` or `default_hugepagesz=` before them, and of two numbers for one
/// size the first counts.
class HeldParameters {
 public:
  /// To be called for every word of the command line, in their order. @param held  it is held back.
  void see(const CmdlineWord& word, bool held);
  /// At most HADUMP_MAX_HELD characters; what would not fit is missing.
  std::string text() const;

 private:
  void see_huge_pages(const std::string& value);
  void add(const std::string& name, const std::string& value);

  struct Item {
    std::string name;
    std::string value;
  };
  std::vector<Item> items_;
  std::string pages_ = "hugepages";  ///< as their directory in sysfs; without a size: the default
  bool pages_known_ = true;          ///< the size before was one
};

}  // namespace hadump
