// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/copy_mode.h"

#include "hv/capture/capture_run.h"

namespace hadump {
namespace {

class Copy : public CaptureRun {
 public:
  using CaptureRun::CaptureRun;
  Result<> run();
};

Result<> Copy::run() {
  if (const auto trailer = read_trailer(record_.metadata, record_.dump_id)) return end(*trailer);
  if (auto done = examine(); !done) return done;
  if (auto wanted = options(false); !wanted) return fail(std::move(wanted));
  record_.state = CaptureState::kWriting;
  if (auto done = world_.note(record_); !done) return done;
  auto trailer = write(nullptr);
  if (!trailer) return fail(std::move(trailer));
  return end(*trailer);
}

}  // namespace

Result<> copy_domain(const CaptureWorld& world, CaptureRecord& record) {
  return Copy(world, record).run();
}

}  // namespace hadump
