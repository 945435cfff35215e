// SPDX-License-Identifier: GPL-2.0-or-later
// Where libxenvchan was missing when this was built.
#include "userspace/vchan/guest_channel.h"

namespace hadump {

Result<std::unique_ptr<ByteChannel>> open_guest_channel(std::chrono::seconds /*patience*/,
                                                        const std::function<bool()>&
                                                        /*cancelled*/) {
  return fail(ErrorCode::kUnsupported,
              "this program was built without libxenvchan; build it where libxen-dev is installed");
}

}  // namespace hadump
