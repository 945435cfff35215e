// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/live_mode.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "core/base/text.h"
#include "core/base/trusted_path.h"
#include "hv/capture/capture_facts.h"
#include "hv/capture/capture_run.h"
#include "hv/capture/live_copy.h"
#include "hv/domain/guest_kind.h"

namespace hadump {
namespace {

// The image may be as large as the memory, and so may the dump.
constexpr std::uint64_t kCopiesAtTarget = 2;
constexpr std::chrono::milliseconds kAskEvery{100};

class Live : public CaptureRun {
 public:
  using CaptureRun::CaptureRun;
  Result<> run();

 private:
  Result<> take_instant();
  Result<> look();
  Result<FrameSurvey> survey() const;
  Result<> check_place(const HeldFile& dump) const;
  Result<> copy(const HeldFile& dump);
  LiveLimits limits() const;
  Result<LiveInstant> copy_passes(PageImage& image);
  Result<> describe();
  Result<> may_go_on();
  Result<> write_out();
  Result<> finish(const CaptureTrailer& trailer);
  Result<> end_interrupted();
  void remove_image() const;
  void remove_all() const;
  void remove_directory() const;

  std::unique_ptr<PageImage> page_image_;
  std::chrono::microseconds asked_{};
  bool is_left_to_repair_ = false;
};

Result<> Live::run() {
  switch (record_.state) {
    case CaptureState::kExamining:
      return take_instant();
    case CaptureState::kWriting:
      return write_out();
    default:
      return end_interrupted();
  }
}

Result<> Live::take_instant() {
  if (auto done = look(); !done) return done;
  auto dump = find_dump_file(false);
  if (!dump) return fail(std::move(dump));
  name_files(dump->path());
  if (auto free = check_place(*dump); !free) {
    remove_directory();
    return free;
  }
  auto done = copy(*dump);
  if (done) return done;
  remove_all();
  if (is_left_to_repair_) return done;
  record_.state = CaptureState::kExamining;
  static_cast<void>(world_.note(record_));  // or the next hadumpd looks for what there is not
  return done;
}

Result<> Live::look() {
  auto status = status_of(record_.uuid);
  if (!status) return fail(std::move(status));
  if (auto done = check_live(*status, world_.config.kind); !done) return done;
  findings_.status = std::move(*status);
  if (limits().if_busy == IfBusy::kThrottle)
    if (auto share = world_.domain.cpu_share().look(); !share)
      return fail(std::move(share), "--if-busy throttle");
  auto found = survey();
  if (!found) return fail(std::move(found), "examining the guest's frames");
  findings_.facts.survey = std::move(*found);
  record_.memory_bytes = findings_.facts.survey.dumped().bytes();
  return {};
}

Result<FrameSurvey> Live::survey() const {
  auto ram = ram_of(world_.config);
  if (!ram) return fail(std::move(ram));
  return survey_frames(world_.domain.memory(), *ram,
                       looked_at_one_by_one(*world_.config.kind, *ram),
                       world_.config.kind->others());
}

// Whatever is called as the image is later is ours.
Result<> Live::check_place(const HeldFile& dump) const {
  if (image_beside(dump).exists()) return fail_os(EEXIST, "creating " + image_beside(dump).path());
  if (auto done = check_metadata_place(record_.metadata, record_.dump_id); !done) return done;
  auto free = world_.free_bytes(dump);
  if (!free) return fail(std::move(free));
  const std::uint64_t needed = kCopiesAtTarget * record_.memory_bytes;
  if (*free >= needed) return {};
  return fail(ErrorCode::kNoSpace,
              fmt::format("the dump and the image of the memory that it is made from may take {} "
                          "together, but {} are free beside {}",
                          format_size(needed), format_size(*free), dump.path()));
}

Result<> Live::copy(const HeldFile& dump) {
  record_.state = CaptureState::kTracking;
  if (auto done = world_.note(record_); !done) return done;
  const FrameSet frames = findings_.facts.survey.dumped();
  if (frames.empty()) return fail(ErrorCode::kBadData, "the domain has no memory");
  auto image = PageImage::create(image_beside(dump), frames.ranges().back().end);
  if (!image) return fail(std::move(image));
  page_image_ = std::move(*image);
  auto instant = copy_passes(*page_image_);
  if (!instant) return fail(std::move(instant));
  record_.stop_us = static_cast<std::uint64_t>(instant->stopped.count());
  world_.info(fmt::format(
      "the domain was stopped for {} us; {} were copied meanwhile, {} of them granted to others",
      instant->stopped.count(), format_size(instant->stopped_frames << kFrameShift),
      format_size(instant->unlogged_frames << kFrameShift)));
  findings_.live = std::move(*instant);
  return describe();
}

LiveLimits Live::limits() const {
  LiveLimits limits;
  limits.max_stop = std::chrono::milliseconds(record_.order.max_stop_ms);
  limits.if_busy = parse_if_busy(record_.order.if_busy).value_or(IfBusy::kStopLonger);
  return limits;
}

Result<LiveInstant> Live::copy_passes(PageImage& image) {
  const LiveWorld world{.domain = world_.domain,
                        .image = image,
                        .limits = limits(),
                        .look = [this] { return survey(); },
                        .may_go_on = [this] { return may_go_on(); },
                        .note_stop =
                            [this](bool is_stopped) {
                              record_.state =
                                  is_stopped ? CaptureState::kStopping : CaptureState::kTracking;
                              return world_.note(record_);
                            },
                        .note_cap =
                            [this](const std::optional<CapChange>& change) {
                              record_.throttled = change;
                              return world_.note(record_);
                            },
                        .passed = world_.passed,
                        .wall_ms = world_.wall_ms,
                        .monotonic = world_.monotonic,
                        .show = world_.tracked,
                        .info = world_.info,
                        .keep_free_bytes = world_.keep_free_bytes};
  LiveCopy copy(world, findings_.facts.survey);
  auto instant = copy.run();
  is_left_to_repair_ = copy.is_left_to_repair();
  if (!instant) return instant;
  findings_.facts.survey = copy.survey();
  findings_.facts.vcpus = copy.take_vcpus();
  return instant;
}

// All that is found is found in the image, as it was at the instant.
Result<> Live::describe() {
  const FrameSet frames = findings_.facts.survey.dumped();
  record_.memory_bytes = frames.bytes();
  page_image_->set_present(frames);
  image_ = page_image_.get();
  if (auto done = find_kernel_facts(*image_, findings_.facts); !done) return done;
  read_log(DomainVmcore(*image_, findings_.facts));
  if (!record_.order.pages.empty())
    if (auto done = keep_listed_pages(); !done) return done;
  if (auto done = save_findings(""); !done) return done;
  if (auto done = write_header(record_.file); !done) return done;
  record_.state = CaptureState::kWriting;
  return world_.note(record_);
}

// A crash of the domain waits for us, and nobody wants the memory of a domain that is going.
Result<> Live::may_go_on() {
  if (world_.cancelled()) return fail(ErrorCode::kCancelled, "hadumpd is ending");
  const auto now = world_.monotonic();
  if (asked_.count() != 0 && now - asked_ < kAskEvery) return {};
  asked_ = now;
  auto status = status_of(record_.uuid);
  if (!status) return fail(std::move(status));
  if (status->shutdown)
    return fail(ErrorCode::kBusy, "the domain has shut down meanwhile; its live dump is dropped");
  return {};
}

Result<> Live::write_out() {
  if (const auto trailer = read_trailer(record_.metadata, record_.dump_id)) return finish(*trailer);
  if (auto loaded = load_findings(); !loaded) return fail(std::move(loaded));
  auto image = hold_trusted(record_.file).and_then([](const HeldFile& dump) {
    return PageImage::open(image_beside(dump));
  });
  if (!image) return fail(std::move(image));
  page_image_ = std::move(*image);
  page_image_->set_present(findings_.facts.survey.dumped());
  image_ = page_image_.get();
  auto trailer = write(nullptr);
  if (trailer) return finish(*trailer);
  if (trailer.error().code() != ErrorCode::kCancelled) remove_image();
  return fail(std::move(trailer));
}

Result<> Live::finish(const CaptureTrailer& trailer) {
  remove_image();
  return end(trailer);
}

// Only the record says whether it was us who have stopped it.
Result<> Live::end_interrupted() {
  const bool was_stopped = record_.state == CaptureState::kStopping;
  auto status = status_of(record_.uuid);
  if (status) {
    if (auto done = repair_live(world_.domain, was_stopped, record_.throttled); !done)
      return fail(std::move(done), "ending an interrupted live dump");
    if (record_.throttled) world_.info("the domain has its own cap of processor time again");
    if (was_stopped && status->paused) world_.info("the domain was still stopped; it runs again");
  } else if (status.error().code() != ErrorCode::kNotFound) {
    return fail(std::move(status));
  }
  remove_all();
  return fail(ErrorCode::kCancelled,
              "hadumpd ended before the memory was copied, and its live dump is lost");
}

void Live::remove_image() const {
  forget_facts(world_.state_directory, record_.name);
  if (auto dump = hold_trusted(record_.file)) static_cast<void>(image_beside(*dump).remove());
}

// What was made for this capture. Each may not be there, and what stays is in nobody's way.
void Live::remove_all() const {
  if (record_.file.empty()) return;
  remove_image();
  auto owner = owner_of_metadata(record_.metadata, record_.dump_id, record_.name);
  if (owner && *owner == MetadataOwner::kThisCapture)
    if (auto metadata = hold_trusted(record_.metadata)) static_cast<void>(metadata->remove());
  remove_directory();
}

// One that was made for this capture, if it is empty.
void Live::remove_directory() const {
  if (record_.file != record_.order.to)
    static_cast<void>(::rmdir(std::filesystem::path(record_.file).parent_path().c_str()));
}

}  // namespace

Result<> check_live(const DomainStatus& status, const GuestKind* kind) {
  if (status.shutdown)
    return fail(ErrorCode::kBusy, "the domain has shut down; --mode copy captures it");
  if (status.paused) return fail(ErrorCode::kBusy, "the domain is paused; `xl unpause` it first");
  if (kind != nullptr && kind->has_dirty_log) return {};
  return fail(
      ErrorCode::kUnsupported,
      fmt::format("Xen does not log the writes of {}; only a PVH or HVM guest can be captured "
                  "while it runs",
                  kind == nullptr ? "this type of guest" : fmt::format("a {} guest", kind->name)));
}

Result<> live_domain(const CaptureWorld& world, CaptureRecord& record) {
  return Live(world, record).run();
}

}  // namespace hadump
