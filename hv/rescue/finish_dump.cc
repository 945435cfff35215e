// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/finish_dump.h"

#include <fmt/format.h>

#include <cstddef>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"

namespace hadump {
namespace {

// The hypervisor lets a domain keep what it has when its limit becomes smaller. 0 when it would not
// say: the dump is over all the same.
std::uint64_t kib_beyond_limit(const Domain& domain, const GuestMemory& memory) {
  auto status = domain.status();
  auto frames = memory.total_frames();
  if (!status || !frames) return 0;
  const std::uint64_t kib = *frames << (kFrameShift - 10);
  return kib > status->max_memory_kib ? kib - status->max_memory_kib : 0;
}

}  // namespace

bool notice_start(DomainRecord& record, const DomainStatus& status, std::uint64_t now_ms) {
  // A reset ends a shutdown, and only start() takes the pause back.
  if (record.step != Step::kVcpusSet || status.paused) return false;
  record.step = Step::kStarted;
  record.started_ms = now_ms;
  record.crash_counted = false;
  return true;
}

bool dump_is_over(const GuestMemory& memory, const DomainRecord& record,
                  const GuestProgress& progress) {
  if (record.step != Step::kStarted) return false;
  if (record.dump_over) return true;
  // What an earlier boot wrote there was removed before this one, so a missing id raises no doubt.
  const bool ours = progress.dump_id.empty() || progress.dump_id == to_hex(record.dump_id);
  if (progress.state == GuestState::kDone) return ours;
  if (progress.state != GuestState::kRegistered || record.mode != SaveMode::kRegistered)
    return false;
  hadump_save_header header{};
  auto done = read_guest(memory, address_of(record.save_area.begin),
                         std::as_writable_bytes(std::span(&header, 1)));
  return done && header.complete != HADUMP_SNAPSHOT_COMPLETE;
}

std::string memory_kept_text(std::uint64_t kib) {
  return fmt::format("the guest has kept {} of the memory added for its dump",
                     format_size(kib << 10));
}

Result<std::uint64_t> finish_dump(Domain& domain, GuestMemory& memory, GuestStore& store,
                                  RecordStore& records, DomainRecord& record,
                                  std::uint64_t now_ms) {
  if (record.mode == SaveMode::kAdded && !record.save_area.empty()) {
    if (!record.dump_over) {
      record.dump_over = true;
      if (auto done = records.save(record); !done) return fail(std::move(done));
    }
    if (auto done = memory.remove(record.save_area); !done)
      return fail(std::move(done), "removing the save area");
  }
  if (auto done = memory.remove(record.other_area); !done)
    return fail(std::move(done), "removing the smaller save area");
  // In both cases an admin who has set another value in the meantime knows better.
  if (record.raised_limit_kib != 0) {
    auto status = domain.status();
    if (!status) return fail(std::move(status), "restoring the memory limit");
    if (status->max_memory_kib == record.raised_limit_kib)
      if (auto done = memory.set_limit_kib(record.old_limit_kib); !done)
        return fail(std::move(done), "restoring the memory limit");
    record.raised_limit_kib = record.old_limit_kib = 0;
  }
  bool gives_back = false;  // What its window had too much; its balloon needs a moment for that.
  if (record.raised_target_kib != 0) {
    auto target = store.balloon_target_kib();
    if (!target && target.error().code() != ErrorCode::kNotFound)
      return fail(std::move(target), "restoring the balloon target");
    gives_back = target && *target == record.raised_target_kib;
    if (gives_back)
      if (auto done = store.set_balloon_target_kib(record.old_target_kib); !done)
        return fail(std::move(done), "restoring the balloon target");
    record.raised_target_kib = record.old_target_kib = 0;
  }
  const std::uint64_t beyond = gives_back ? 0 : kib_beyond_limit(domain, memory);
  // Not before: an attempt that fails here is made again, by whoever comes next.
  record.save_area = record.other_area = {};
  record.committed = false;
  record.step = Step::kDone;
  record.dump_over = false;
  record.done_ms = now_ms;
  if (auto done = records.save(record); !done) return fail(std::move(done));
  if (auto done = store.publish(HADUMP_XS_AGENT_STATE, "save-area-returned"); !done)
    return fail(std::move(done));
  return beyond;
}

}  // namespace hadump
