// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/stream/stream_task.h"

#include <utility>

#include "hv/stream/stream_file.h"

namespace hadump {

Result<ReceivedStream> run_stream(const StreamWorld& world, const StreamTask& task) {
  auto channel = world.connect(task.domid, task.slot);
  if (!channel) return fail(std::move(channel));
  StreamFile file(world.files, task.limits, task.policy, task.domain);
  return receive_stream(
      {.channel = **channel,
       .store = file,
       .check = [&]() -> Result<> {
         if (world.stopping) return fail(ErrorCode::kCancelled, "hadumpd on the host ends");
         return world.check_domain(task.domid, task.uuid);
       },
       .show =
           [&](const std::string& name, std::uint64_t received, std::uint64_t durable) {
             task.progress->show({name, received, durable});
           },
       .now = world.now});
}

}  // namespace hadump
