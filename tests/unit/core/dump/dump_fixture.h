// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/dump/dump_writer.h"
#include "tests/fakes/in_memory_vmcore.h"
#include "tests/unit/core/dump/memory_sink.h"

namespace hadump {

inline const OutputFormat* const kElf = find_output_format("elf");
inline const OutputFormat* const kXen = find_output_format("xen");
inline const OutputFormat* const kKdump = find_output_format("kdump");

using Page = std::array<std::byte, kFrameSize>;

/// What a file says about each frame: nothing (left out), lost, or contents.
struct ReadBack {
  std::map<Gfn, Page> pages;
  FrameSet lost;
  bool incomplete = false;
};

/// Reads a kdump-compressed image by the format's description alone, not by our own reader.
/// Nothing when the headers make no sense.
std::optional<ReadBack> read_kdump(const std::vector<std::byte>& image);
/// Reads an ELF core likewise; pages that p_filesz does not cover are left out.
std::optional<ReadBack> read_elf(const std::vector<std::byte>& image);
/// Reads a domain's core likewise.
std::optional<ReadBack> read_xen(const std::vector<std::byte>& image);
/// By one of these.
std::optional<ReadBack> read_back(const OutputFormat* format, const std::vector<std::byte>& image);
/// Puts a flattened image together.
std::optional<std::vector<std::byte>> rearrange(const std::vector<std::byte>& flattened);

/// A small machine with all that matters: holes, ranges that are not multiples of 8 frames, zeros,
/// text, noise, all mixed.
std::unique_ptr<InMemoryVmcore> make_machine();

/// Classes by frame number, so that tests know them: see the source.
class PatternFilter : public PageFilter {
 public:
  static PageClass class_of(Gfn gfn);
  Result<> classify(FrameRange range, std::vector<PageRun>& runs) const override;
};

FrameSet frames_of(const ReadBack& back);
Page page_of(const VmcoreSource& source, Gfn gfn);
/// What == says, without a sanitized comparison for each byte.
bool same_page(const Page& one, const Page& other);
bool same_bytes(const std::vector<std::byte>& one, const std::vector<std::byte>& other);

struct DumpRun {
  std::shared_ptr<SinkLog> log = std::make_shared<SinkLog>();
  Result<DumpSummary> summary = fail(ErrorCode::kCancelled, "not run");
  FrameSet durable;                ///< Portions whose make_durable() returned.
  std::vector<FrameSet> portions;  ///< The same, one by one.
};

struct RunOptions {
  DumpOptions dump;
  const PageFilter* filter = nullptr;
  std::uint64_t portion_bytes = 1_MiB;
  bool can_rewrite = true;
  bool acknowledges = false;  ///< Only for a sink that cannot rewrite.
  std::uint64_t fail_at = ~std::uint64_t{0};
  int fail_errno = 0;
};

/// A whole dump into a MemorySink, portion by portion, up to the first error.
DumpRun run_dump(const VmcoreSource& source, const RunOptions& options);

}  // namespace hadump
