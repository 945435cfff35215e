// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/dump_contents.h"

#include <algorithm>

#include "core/vmcore/kernel_log.h"
#include "core/vmcore/page_classifier.h"

namespace hadump {

Result<OpenedFilter> open_filter(const VmcoreSource& source, unsigned dump_level) {
  auto classifier = PageClassifier::open(source, dump_level);
  if (!classifier) return fail(std::move(classifier), "classifying pages");
  FrameUses needed = (*classifier)->metadata_uses();
  std::function<std::uint64_t()> kept = [filter = classifier->get()] {
    return filter->kept_unknown().frames();
  };
  return OpenedFilter{std::move(*classifier), std::move(needed), std::move(kept)};
}

void for_each_run(const FrameSet& frames, const PageFilter* filter,
                  const std::function<void(const PageRun&)>& take) {
  constexpr std::uint64_t kStepFrames = 128_MiB >> kFrameShift;
  std::vector<PageRun> runs;
  for (FrameRange range : frames.ranges())
    for (Gfn at = range.begin; at < range.end;) {
      const Gfn border{round_down(at.value + kStepFrames, kStepFrames)};
      const FrameRange step{at, std::min(border, range.end)};
      at = step.end;
      runs.clear();
      if (filter == nullptr || !filter->classify(step, runs))
        runs.assign(1, {step, PageClass::kKeep});
      for (const PageRun& run : runs) take(run);
    }
}

Result<std::string> crashed_kernel_log(const VmcoreSource& source) {
  return kernel_log(source);
}

}  // namespace hadump
