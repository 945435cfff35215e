#include "userspace/engine.h"

namespace hadump {

Result<OpenedFilter> open_filter(const VmcoreSource& /*source*/) {
  return fail(ErrorCode::kUnsupported, "this build cannot tell pages apart");
}

Result<std::string> crashed_kernel_log(const VmcoreSource& /*source*/) {
  return fail(ErrorCode::kUnsupported, "this build cannot read the kernel log");
}

}  // namespace hadump
