// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hv/domain/host.h"
#include "tests/fakes/in_memory_cpu_share.h"
#include "tests/fakes/in_memory_dirty_log.h"
#include "tests/fakes/in_memory_domain.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {

/// Host that behaves: domains have a configuration, memory, a store and a life; a blueprint makes
/// another one of the same name and UUID, with the same kernel.
///
/// Threads: as Host. The parts of a domain may outlive it.
class InMemoryHost : public Host {
 public:
  struct Resident {
    Resident(DomainConfig domain_config, const DomainStatus& status)
        : config(std::move(domain_config)), domain(history, status) {}
    DomainConfig config;
    History history;
    InMemoryDomain domain;
    InMemoryGuest memory;
    InMemoryDirtyLog dirty_log{history, memory};
    InMemoryCpuShare cpu_share{history};
    InMemoryGuestLinks links{history};
    InMemoryGuestStore store;
    bool has_configuration = true;  ///< the toolstack has written it
    bool has_disks = true;
    bool is_mapped = false;  ///< somebody has mapped its memory: destroyed, it stays, dying
  };

  /// A running domain. @return its number.
  unsigned add(DomainConfig config) {
    const std::lock_guard lock(mutex_);
    return make(std::move(config));
  }
  Resident& at(unsigned domid) {
    const std::lock_guard lock(mutex_);
    return *residents_.at(domid);
  }
  /// To look at even when it is gone.
  std::shared_ptr<Resident> share(unsigned domid) {
    const std::lock_guard lock(mutex_);
    return residents_.at(domid);
  }
  /// The domains of this UUID.
  std::vector<unsigned> with_uuid(const std::string& uuid) {
    std::vector<unsigned> found;
    const auto all = domains();
    for (const DomainStatus& status : all.value())
      if (status.uuid == uuid) found.push_back(status.domid);
    return found;
  }
  /// The next call of this name fails once.
  void fail_next(const std::string& what, Error error) {
    const std::lock_guard lock(mutex_);
    failing_.insert_or_assign(what, std::move(error));
  }
  /// Called at the beginning of each call, with its name, on the caller's thread.
  void watch(std::function<void(const std::string& what)> watcher) {
    watcher_ = std::move(watcher);
  }

  Result<std::vector<DomainStatus>> domains() override {
    if (auto failed = failure("domains"); !failed) return fail(std::move(failed));
    const std::lock_guard lock(mutex_);
    std::vector<DomainStatus> all;
    for (const auto& [domid, resident] : residents_) all.push_back(*resident->domain.status());
    return all;
  }
  Result<DomainConfig> config(unsigned domid) override {
    if (auto failed = failure("config"); !failed) return fail(std::move(failed));
    const std::lock_guard lock(mutex_);
    const auto found = residents_.find(domid);
    if (found == residents_.end() || !found->second->has_configuration)
      return fail(ErrorCode::kNotFound, "no configuration");
    return found->second->config;
  }
  Result<std::unique_ptr<OpenDomain>> open(unsigned domid) override {
    if (auto failed = failure("open"); !failed) return fail(std::move(failed));
    const std::lock_guard lock(mutex_);
    const auto found = residents_.find(domid);
    if (found == residents_.end()) return fail(ErrorCode::kNotFound, "no such domain");
    return std::make_unique<Open>(found->second);
  }
  Result<> crash(unsigned domid) override {
    if (auto failed = failure("crash"); !failed) return failed;
    return with(domid, [](Resident& one) { one.domain.shut_down(ShutdownReason::kCrash); });
  }
  Result<> dump_core(unsigned domid, const std::string& path) override {
    if (auto failed = failure("dump_core"); !failed) {
      std::ofstream(path) << "half a core";  // as libxl leaves it
      return failed;
    }
    return with(domid,
                [&](Resident& one) { std::ofstream(path) << "core of " << one.config.name; });
  }
  Result<> destroy(unsigned domid) override {
    if (auto failed = failure("destroy"); !failed) return failed;
    const std::lock_guard lock(mutex_);
    const auto found = residents_.find(domid);
    if (found == residents_.end()) return fail(ErrorCode::kNotFound, "no such domain");
    if (found->second->is_mapped) {
      found->second->domain.set_dying();
      found->second->has_configuration = found->second->has_disks = false;
    } else {
      residents_.erase(found);
    }
    return {};
  }
  Result<> set_aside(unsigned domid, const std::string& uuid) override {
    if (auto failed = failure("set_aside"); !failed) return failed;
    return with(domid, [&](Resident& one) {
      const std::string suffix = fmt::format("-{}", domid);
      if (!one.config.name.ends_with(suffix)) one.config.name += suffix;
      one.config.uuid = uuid.empty() ? "aside" + suffix : uuid;
      one.domain.set_uuid(one.config.uuid);
      one.has_configuration = one.has_disks = false;
    });
  }
  /// What is free for domains that are to be created.
  void set_room(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    room_bytes_ = bytes;
  }
  Result<HostRoom> room_for(const std::string& blueprint, std::uint64_t keep_free) override {
    if (auto failed = failure("room_for"); !failed) return fail(std::move(failed));
    const std::lock_guard lock(mutex_);
    const auto found = blueprints_.find(blueprint);
    if (found == blueprints_.end()) return fail(ErrorCode::kBadData, "a blueprint of nothing");
    const std::uint64_t full = found->second.memory_bytes;
    const std::uint64_t left = room_bytes_ - std::min(room_bytes_, keep_free);
    return HostRoom{std::min(full, left) >> 10, full >> 10};
  }
  Result<> set_memory(unsigned domid, std::uint64_t kib) override {
    if (auto failed = failure("set_memory"); !failed) return failed;
    return with(domid, [&](Resident& one) { one.store.target_kib = kib; });
  }
  Result<unsigned> create(const std::string& blueprint, std::uint64_t memory_kib) override {
    if (auto failed = failure("create"); !failed) return fail(std::move(failed));
    const std::lock_guard lock(mutex_);
    const auto found = blueprints_.find(blueprint);
    if (found == blueprints_.end()) return fail(ErrorCode::kBadData, "a blueprint of nothing");
    for (const auto& [domid, resident] : residents_)
      if (resident->config.name == found->second.name && resident->has_disks)
        return fail(ErrorCode::kOs, "the disks are in use");
    const unsigned domid = make(found->second);
    residents_.at(domid)->store.target_kib =
        memory_kib != 0 ? memory_kib : found->second.memory_bytes >> 10;
    return domid;
  }

 private:
  class Open : public OpenDomain {
   public:
    explicit Open(std::shared_ptr<Resident> resident) : resident_(std::move(resident)) {}
    Domain& domain() override { return resident_->domain; }
    GuestMemory& memory() override { return resident_->memory; }
    DirtyLog& dirty_log() override { return resident_->dirty_log; }
    CpuShare& cpu_share() override { return resident_->cpu_share; }
    GuestLinks& links() override { return resident_->links; }
    GuestStore& store() override { return resident_->store; }

   private:
    std::shared_ptr<Resident> resident_;
  };

  // With mutex_ held.
  unsigned make(DomainConfig config) {
    DomainStatus status;
    status.domid = ++last_;
    status.uuid = config.uuid;
    status.has_run = true;
    status.max_memory_kib = config.memory_bytes >> 10;
    config.blueprint = "blueprint of " + config.uuid;
    blueprints_.insert_or_assign(config.blueprint, config);
    residents_.emplace(last_, std::make_shared<Resident>(std::move(config), status));
    return last_;
  }
  template <typename Work>
  Result<> with(unsigned domid, Work&& work) {
    const std::lock_guard lock(mutex_);
    const auto found = residents_.find(domid);
    if (found == residents_.end()) return fail(ErrorCode::kNotFound, "no such domain");
    work(*found->second);
    return {};
  }
  Result<> failure(const std::string& what) {
    if (watcher_) watcher_(what);
    const std::lock_guard lock(mutex_);
    const auto found = failing_.find(what);
    if (found == failing_.end()) return {};
    Error error = std::move(found->second);
    failing_.erase(found);
    return tl::unexpected(std::move(error));
  }

  std::mutex mutex_;  ///< of all that follows, but for watcher_
  unsigned last_ = 0;
  std::map<unsigned, std::shared_ptr<Resident>> residents_;  ///< shared with who has them open
  std::map<std::string, DomainConfig> blueprints_;
  std::map<std::string, Error> failing_;
  std::function<void(const std::string&)> watcher_;
  std::uint64_t room_bytes_ = 1ULL << 50;
};

}  // namespace hadump
