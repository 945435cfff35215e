#include "userspace/engine.h"

#include "core/vmcore/kernel_log.h"
#include "core/vmcore/page_classifier.h"

namespace hadump {

Result<OpenedFilter> open_filter(const VmcoreSource& source) {
  auto classifier = PageClassifier::open(source);
  if (!classifier) return fail(std::move(classifier), "telling pages apart");
  FrameSet needed = (*classifier)->metadata_frames();
  return OpenedFilter{std::move(*classifier), std::move(needed)};
}

Result<std::string> crashed_kernel_log(const VmcoreSource& source) {
  return kernel_log(source);
}

}  // namespace hadump
