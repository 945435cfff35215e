// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hv/agent/care_rules.h"
#include "hv/agent/even_clock.h"
#include "hv/domain/host.h"
#include "hv/hadumpd/capture_book.h"
#include "hv/hadumpd/capturer.h"
#include "hv/hadumpd/core_directory.h"
#include "hv/hadumpd/domain_view.h"
#include "hv/hadumpd/guest_observer.h"
#include "hv/hadumpd/jobs.h"
#include "hv/hadumpd/preparer.h"
#include "hv/hadumpd/record_book.h"
#include "hv/hadumpd/rescuer.h"
#include "hv/hadumpd/stream_keeper.h"
#include "hv/hadumpd/ward.h"

namespace hadump {

/// Looks after the domains of one host: decides what is done with them when something happens, and
/// starts jobs that do it. Never waits for a domain, for the toolstack or for xenstored. Noticing
/// that something has happened is the daemon's part.
///
/// Threads: the event loop's.
class Caretaker {
 public:
  /// Everything is borrowed. What a job uses is safe for any thread.
  struct World {
    Host& host;
    Jobs& jobs;
    RecordBook& book;
    StateDirectory& states;
    CoreDirectory& cores;
    Preparer& preparer;
    /// On a job's thread; leaves the record's last state in the book.
    std::function<Result<>(const RescueOrder&)> rescue;
    CaptureBook& captures;
    /// On a job's thread; leaves the record's last state in the captures' book.
    std::function<Result<>(const CaptureTask&)> capture;
    std::function<std::uint64_t()> wall_ms;                  ///< milliseconds since 1970
    std::function<std::chrono::milliseconds()> monotonic{};  ///< a clock that does not jump
    std::function<std::uint64_t()> ask_guests{};             ///< GuestObserver::ask()
  };

  explicit Caretaker(World world) : world_(std::move(world)) {}

  void set_policies(PolicyTable policies) { policies_ = std::move(policies); }

  /// Reads what an agent before us wrote down.
  Result<> load();

  /// Looks at every domain and starts what is due. Cheap when nothing is.
  Result<> look_around();

  void heard(GuestsHeard heard) { heard_ = std::move(heard); }
  /// The domains whose words matter, and whether all of them do, or what every guest says only.
  std::map<unsigned, bool> listened_to() const;

  /// Tries again where an attempt has failed, and asks the policies again.
  void reconsider();

  std::vector<DomainView> views();
  std::vector<CaptureView> captures() const { return world_.captures.all(); }
  /// Makes a hung domain crash; tries again at once, whatever the crash-loop limit says, where an
  /// attempt has failed or was not made.
  /// @param again  only the latter: a domain that runs by now is left alone.
  /// @return the number of the job that does it; kNotFound or kUnsupported when it is not watched,
  ///         kBusy when it has shut down, has a job, or runs.
  Result<JobNumber> trigger(unsigned domid, bool again);
  struct StartedCapture {
    JobNumber job = 0;
    std::string name;
  };
  /// Captures the memory of a domain that has shut down and is preserved, or, in mode live, of one
  /// that runs.
  /// @return kBadData for words that make no sense; kNotFound or kUnsupported when it cannot be
  ///         captured, kBusy when its state forbids the mode, it has a job, or is somebody else's.
  Result<StartedCapture> capture(unsigned domid, const CaptureOrder& order);
  /// Deletes the files of a capture that has ended, and forgets it.
  /// @return kNotFound; kBusy while it is written, or while a domain is kept for it.
  Result<JobNumber> discard(const std::string& name);
  /// Whether the domain is about to be known, so that it is worth asking again in a moment.
  bool is_new(unsigned domid) const { return adoptions_.contains(domid); }
  /// The domains whose policy lets them send streams, by domid.
  std::map<unsigned, StreamGuest> stream_guests() const;
  const StreamLimits& stream_limits() const { return policies_.streams(); }

 private:
  struct Adoption {
    std::string uuid;
    Attempts attempts;
    std::chrono::milliseconds began{};  ///< the newest attempt
    /// It is no domain that is just being created.
    bool is_late() const { return attempts.failures() > kCreationLooks; }
  };
  /// Looks at a domain that is being created, a second apart, before it counts as one that the
  /// toolstack has nothing about.
  static constexpr unsigned kCreationLooks = 60;

  Ward* ward_of(unsigned domid, const std::string& uuid);
  const Ward* ward_of(unsigned domid, const std::string& uuid) const;
  std::map<unsigned, std::string> kernels() const;
  bool awaits_successor(unsigned domid) const;
  bool has_successor(const std::string& uuid, unsigned but_domid) const;

  // caretaker_adopt.cc: domains that appear and disappear
  void adopt(const DomainStatus& status);
  void adopted(const DomainStatus& status, Result<Ward> ward);
  void forget_gone(const std::vector<DomainStatus>& present);
  void take_over_successors(const std::vector<DomainStatus>& present);

  // caretaker_events.cc: what happens to a domain
  void look_at(const DomainStatus& status, Ward& ward);
  void see_to_living(const DomainStatus& status, Ward& ward);
  void see_to_shutdown(const DomainStatus& status, Ward& ward);
  void see_to_crash(const DomainStatus& status, Ward& ward);
  bool was_renamed(const DomainStatus& status, const Ward& ward) const;
  void see_to_dump(const DomainStatus& status, Ward& ward);
  void obey(const DomainStatus& status, Ward& ward, ShutdownAction action);
  std::shared_ptr<Departure> plan_departure(unsigned domid, const Ward& ward,
                                            ShutdownAction action) const;
  void give_up(unsigned domid, Ward& ward, const std::string& why);
  void attempt_failed(unsigned domid, Ward& ward, const Error& error);

  bool has_last_words(unsigned domid, Ward& ward);

  // caretaker_window.cc: boots in the window that fail, or that hang
  GuestProgress last_words(unsigned domid, const Ward& ward, const DomainRecord& record) const;
  bool see_to_window_end(const DomainStatus& status, Ward& ward, DomainRecord& record,
                         const Result<>& counted);
  void log_next_boot(const DomainStatus& status, const Ward& ward, const DomainRecord& record,
                     WindowStep step) const;
  WindowChoices window_choices(const Ward& ward, const DomainRecord& record) const;
  std::uint64_t larger_window_for(const Ward& ward, const DomainRecord& record) const;
  void leave_window(unsigned domid, Ward& ward, const DomainRecord& record, WindowStep step,
                    const std::string& why);
  void window_step_failed(unsigned domid, Ward& ward, WindowStep step, const Error& error);
  void rescue_failed(unsigned domid, Ward& ward, const Error& error, WindowStep step);
  void forget_window_steps();
  void watch_boot(const DomainStatus& status, Ward& ward);
  void review_window(unsigned domid, Ward& ward);
  void stop_boot(unsigned domid, Ward& ward, const DomainRecord& record);

  // caretaker_capture.cc: captures of the memory of domains that have shut down
  Result<> check_capture(const DomainStatus& status, const Ward& ward,
                         const CaptureOrder& order) const;
  std::optional<CaptureRecord> kept_aside(unsigned domid) const;
  Result<StartedCapture> write_kept(CaptureRecord record, const CaptureOrder& order);
  bool see_to_capture(const DomainStatus& status, Ward& ward);
  Result<JobNumber> start_capture(unsigned domid, Ward& ward, const CaptureRecord& record);
  void capture_done(unsigned domid, const std::string& uuid, const std::string& name,
                    const Result<>& done);
  void discard_old_captures();
  Result<JobNumber> start_discard(const CaptureRecord& record, const std::string& why);
  void capture_paused(unsigned domid, const std::string& uuid, CaptureRecord record,
                      const Error& error);
  void capture_failed(const std::string& name, const Error& error);
  std::uint64_t kept_free(const CaptureRecord& record) const;
  void capture_crash(unsigned domid, Ward& ward);
  enum class CaptureCause { kAdmin, kCrash, kWindow, kWindowParks };
  Result<StartedCapture> begin_capture(unsigned domid, Ward& ward, const CaptureOrder& order,
                                       CaptureCause cause, const DomainRecord* waiting = nullptr);
  void let_go_of_captures(const std::vector<DomainStatus>& present);
  void forget_captures_of(unsigned domid, const std::string& uuid);
  std::function<Result<>()> capture_work(CaptureTask task) const;

  // caretaker_aside.cc: captures whose domain was put aside, and replaced at once
  std::set<unsigned> see_to_asides(const std::vector<DomainStatus>& present);
  JobNumber see_to_aside(const CaptureRecord& record, bool there);
  void aside_failed(const CaptureRecord& record, const Error& error);

  // caretaker_live.cc: captures of domains that run
  void see_to_live();
  void live_taken(unsigned domid, const std::string& uuid, const std::string& name,
                  const Result<>& done);
  void start_live_writer(const CaptureRecord& record);
  void live_written(const std::string& name, const Result<>& done);
  void repair_live(const CaptureRecord& record);

  // caretaker_jobs.cc: what is done about it, and what comes of that
  SaveRoom room_for(const Ward& ward) const;
  CrashPolicy policy_of(const Ward& ward) const;
  Result<JobNumber> start_rescue(unsigned domid, Ward& ward);
  void rescued(unsigned domid, const std::string& uuid, const Result<>& done);
  Result<JobNumber> start_departure(unsigned domid, Ward& ward);
  void departed(unsigned domid, const std::string& uuid, const Result<>& done);
  void start_ending(unsigned domid, Ward& ward, const DomainRecord& record);
  struct Ending {
    bool over = false;
    std::uint64_t beyond_kib = 0;  ///< of its limit
  };
  static Result<Ending> end_dump(const World& world, unsigned domid, const FrameSet& ram,
                                 DomainRecord record);
  void ended(unsigned domid, const std::string& uuid, const Result<Ending>& ending);
  void start_publishing(unsigned domid, Ward& ward);
  void published(unsigned domid, const std::string& uuid, const Result<>& done);
  void start_keeping(unsigned domid, Ward& ward, const DomainRecord& record);
  void kept(unsigned domid, const DomainRecord& record, const Result<>& done);
  void log_times(const DomainRecord& record) const;

  // caretaker_view.cc
  GuestProgress progress(unsigned domid, const Ward& ward) const;
  void note_state(unsigned domid, const Ward& ward);
  std::string note_of(unsigned domid, const Ward& ward) const;

  World world_;
  PolicyTable policies_;
  bool wards_are_new_ = false;
  GuestsHeard heard_;
  EvenClock clock_;
  std::map<unsigned, Ward> wards_;           ///< by domid
  std::map<std::string, Attempts> asides_;   ///< by capture: at going on, or discarding it
  std::map<std::string, unsigned> writers_;  ///< jobs' keys by live capture: they have no domain
  unsigned last_writer_ = 0;
  std::map<unsigned, Adoption> adoptions_;         ///< by domid: domains that are not wards yet
  std::map<std::string, ShownState> shown_;        ///< by UUID; outlives a new configuration
  std::map<std::string, std::string> successors_;  ///< blueprints by UUID, of a dead hadumpd
};

}  // namespace hadump
