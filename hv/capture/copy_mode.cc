// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/copy_mode.h"

#include "hv/capture/capture_facts.h"
#include "hv/capture/capture_run.h"

namespace hadump {
namespace {

class Copy : public CaptureRun {
 public:
  using CaptureRun::CaptureRun;
  Result<> run();

 private:
  Result<> find_out();
  Result<> finish(const CaptureTrailer& trailer);
};

// The domain stays as it is, and can be looked at again; the list that is wanted of it may change.
Result<> Copy::find_out() {
  const bool has_list = !record_.order.pages.empty();
  if (has_list && record_.state == CaptureState::kWriting) {
    if (auto loaded = load_findings(); !loaded) return fail(std::move(loaded));
    return {};
  }
  if (auto done = examine(); !done || !has_list) return done;
  if (auto done = save_findings(""); !done) return done;
  return write_header_first(false);
}

Result<> Copy::run() {
  if (const auto trailer = read_trailer(record_.metadata, record_.dump_id)) return finish(*trailer);
  if (auto done = find_out(); !done) return done;
  if (auto wanted = options(false); !wanted) return fail(std::move(wanted));
  record_.state = CaptureState::kWriting;
  if (auto done = world_.note(record_); !done) return done;
  auto trailer = write(nullptr);
  if (!trailer) return fail(std::move(trailer));
  return finish(*trailer);
}

Result<> Copy::finish(const CaptureTrailer& trailer) {
  forget_facts(world_.state_directory, record_.name);
  return end(trailer);
}

}  // namespace

Result<> copy_domain(const CaptureWorld& world, CaptureRecord& record) {
  return Copy(world, record).run();
}

}  // namespace hadump
