// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/units.h"
#include "hv/domain/pvh_guest.h"
#include "hv/hadumpd/caretaker.h"
#include "tests/fakes/in_memory_host.h"
#include "tests/fakes/manual_jobs.h"
#include "tests/fakes/manual_writes.h"

namespace hadump {

/// A host with domains, a caretaker whose jobs do nothing until they are told to, and a clock that
/// stands still. A crash run is one line here: CrashRun has tests of its own.
class CaretakerTest : public testing::Test {
 protected:
  CaretakerTest() {
    EXPECT_TRUE(policies.add("cores", "directory", directory + "/cores"));
    EXPECT_TRUE(policies.add("cores", "keep-free", "0"));
    restart();
  }
  ~CaretakerTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  /// A hadumpd that finds what the one before it has left.
  void restart() {
    jobs = ManualJobs();
    book.emplace(states, writes, boot_id);
    captures.emplace(states, writes, boot_id);
    caretaker.emplace(Caretaker::World{
        host, jobs, *book, states, cores, preparer,
        [this](const RescueOrder& order) { return rescue(order); }, *captures,
        [this](const CaptureTask& task) { return capture(task); },
        [this] { return 1700000000000 + static_cast<std::uint64_t>((now + clock_ahead).count()); },
        [this] { return now; }, [this] { return ++asked; }});
    caretaker->set_policies(policies);
    EXPECT_TRUE(caretaker->load());
  }
  void set_policies(const std::string& key, const std::string& value) {
    EXPECT_TRUE(policies.add("default", key, value));
    caretaker->set_policies(policies);
  }
  DomainConfig config(const std::string& name) const {
    DomainConfig config;
    config.name = name;
    config.uuid = "uuid-of-" + name;
    config.kind = &kPvhGuest;
    config.memory_bytes = 512_MiB;
    config.max_vcpus = 1;
    config.kernel = directory + "/vmlinux";
    config.acpi_key = "key";
    config.on_crash = ShutdownAction::kPreserve;
    return config;
  }
  /// A domain that runs and that the caretaker knows.
  unsigned known(const DomainConfig& config) {
    const unsigned domid = host.add(config);
    settle();
    return domid;
  }
  /// The same, rescued before, so that hadumpd and not xl looks after it.
  unsigned owned(const DomainConfig& config) {
    const unsigned domid = known(config);
    DomainRecord record;
    record.uuid = config.uuid;
    record.name = config.name;
    record.domid = domid;
    record.step = Step::kDone;
    record.started_ms = 1;
    EXPECT_TRUE(book->save(record));
    return domid;
  }
  void look() {
    caretaker->heard({said(), asked});
    ASSERT_TRUE(caretaker->look_around());
    // When it has asked, it is woken with the answer.
    if (std::exchange(answered, asked) == asked) return;
    caretaker->heard({said(), asked});
    ASSERT_TRUE(caretaker->look_around());
  }
  /// Looks, and lets the jobs run, until nothing happens any more.
  void settle() {
    for (int i = 0; i < 5; ++i) {
      look();
      jobs.finish();
    }
  }
  void crash(unsigned domid) {
    host.at(domid).domain.crash_again();
    settle();
  }
  void pass(std::chrono::milliseconds time) { now += time; }
  std::map<unsigned, GuestNews> said() {
    std::map<unsigned, GuestNews> all;
    for (const auto& [domid, closely] : caretaker->listened_to())
      if (auto open = host.open(domid))
        all[domid] = {(*open)->store().guest_keys().value(), new_names[domid],
                      (*open)->store().balloon_target_kib().value()};
    return all;
  }
  DomainView view(const std::string& name) {
    for (const DomainView& view : caretaker->views())
      if (view.name == name) return view;
    return {};
  }
  std::string state(const std::string& name) { return view(name).state; }
  DomainRecord record(const std::string& name) {
    return book->find("uuid-of-" + name).value_or(DomainRecord{});
  }

  std::string directory = new_directory();
  std::chrono::milliseconds now{1000000};
  std::chrono::milliseconds clock_ahead{0};  ///< the wall clock's fault
  std::uint64_t asked = 0;                   ///< how often xenstore was to be read
  std::uint64_t answered = 0;                ///< and was
  PolicyTable policies;
  InMemoryHost host;
  ManualJobs jobs;
  StateDirectory states{directory, ""};
  CoreDirectory cores;
  Preparer preparer{{directory + "/cache", directory},
                    [](unsigned) { return Result<AcpiTables>(fail(ErrorCode::kBusy, "no Xen")); },
                    [](const std::string&) {}};
  ManualWrites writes;
  std::optional<RecordBook> book;
  std::string boot_id = "this-boot";
  std::optional<CaptureBook> captures;
  std::optional<Caretaker> caretaker;

  std::vector<std::string> captured;                     ///< in order, by name
  std::vector<Error> capture_failures;                   ///< of the next captures
  std::function<Result<>(CaptureRecord&)> capture_hook;  ///< what they do instead
  std::vector<unsigned> rescued;                         ///< in order, by domid
  std::vector<std::uint64_t> windows;                    ///< of those
  std::vector<std::uint64_t> larger_windows;             ///< likewise; 0: the same
  std::vector<bool> rescue_boots;                        ///< likewise
  std::vector<std::uint64_t> room_for_save_area;         ///< likewise
  bool can_rescue = false;             ///< what the next guests say at their crash
  std::vector<Error> rescue_failures;  ///< of the next crash runs
  bool commits_before_it_fails = false;
  std::function<void()> rescue_hook;          ///< after a crash run that has failed
  std::map<unsigned, std::string> new_names;  ///< names in xenstore, by domid, where they matter

 private:
  // A capture is one line here, too.
  Result<> capture(const CaptureTask& task) {
    captured.push_back(task.record.name);
    if (!capture_failures.empty()) {
      Error error = capture_failures.front();
      capture_failures.erase(capture_failures.begin());
      return tl::unexpected(std::move(error));
    }
    CaptureRecord record = task.record;
    if (capture_hook) return capture_hook(record);
    record.state = CaptureState::kWritten;
    record.file = record.order.to;
    return captures->save(record);
  }
  static std::string new_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hadump-XXXXXX").string();
    return ::mkdtemp(pattern.data());
  }
  Result<> rescue(const RescueOrder& order) {
    rescued.push_back(order.domid);
    windows.push_back(order.policy.window_bytes);
    larger_windows.push_back(order.policy.larger_window_bytes);
    rescue_boots.push_back(order.policy.rescue_boot);
    room_for_save_area.push_back(order.policy.most_added_bytes);
    if (!order.policy.may_add_save_area)
      return fail(ErrorCode::kBusy, "the host has as many save areas as it may have");
    DomainRecord record = order.record;
    if (!rescue_failures.empty()) {
      Error error = rescue_failures.front();
      rescue_failures.erase(rescue_failures.begin());
      record.committed = commits_before_it_fails;
      record.step = record.committed ? Step::kReset : Step::kNone;
      static_cast<void>(book->save(record));
      if (rescue_hook) rescue_hook();
      return tl::unexpected(std::move(error));
    }
    InMemoryDomain& domain = host.at(order.domid).domain;
    EXPECT_TRUE(domain.pause());
    EXPECT_TRUE(domain.reset({}));
    EXPECT_TRUE(host.at(order.domid).store.clear_guest_keys());
    EXPECT_TRUE(domain.start());
    if (record.step == Step::kStarted) {
      ++record.boots;
      if (order.policy.rescue_boot && record.window.rescue_since == 0)
        record.window.rescue_since = record.boots;
      if (order.policy.larger_window_bytes != 0)
        record.window.grown_from =
            std::exchange(record.window_bytes, order.policy.larger_window_bytes);
    } else {
      record.boots = 1;
      record.dump_id = {1, 2, 3};
      record.window = {.had_module = true};
      record.window.can_rescue = can_rescue;
    }
    record.step = Step::kStarted;
    record.committed = true;
    record.crash_counted = false;
    record.started_ms = 1700000000000 + static_cast<std::uint64_t>(now.count());
    record.times = {{"pause", 1.0}};
    return book->save(record);
  }
};

}  // namespace hadump
