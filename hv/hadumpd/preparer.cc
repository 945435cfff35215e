// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/preparer.h"

#include <fmt/format.h>

#include <exception>
#include <new>

#include "hv/rescue/rehearsal.h"

namespace hadump {

Preparer::Preparer(Paths paths, MakeTables make_tables, Report report)
    : paths_(std::move(paths)),
      make_tables_(std::move(make_tables)),
      report_(std::move(report)),
      worker_([this](const std::stop_token& stop) { work(stop); }) {}

Preparer::~Preparer() {
  worker_.request_stop();
  wake_.notify_all();
}

void Preparer::add(Job job) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(job));
  wake_.notify_all();
}

void Preparer::prepare(unsigned domid, const DomainConfig& config, const WindowWish& wish) {
  {
    const std::lock_guard lock(mutex_);
    troubles_.erase(domid);
  }
  add(Domain{domid, config, wish});
}

void Preparer::keep_only(std::map<unsigned, std::string> kernels) {
  add(Keep{std::move(kernels)});
}

std::string Preparer::trouble(unsigned domid) {
  const std::lock_guard lock(mutex_);
  const auto found = troubles_.find(domid);
  return found == troubles_.end() ? "" : found->second;
}

void Preparer::work(const std::stop_token& stop) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    try {
      std::visit([this](const auto& what) { run(what); }, job);
    } catch (const std::bad_alloc&) {
      tell(nullptr);
    } catch (const std::exception& e) {
      tell(e.what());
    } catch (...) {
      tell("unknown");
    }
    end(job);
  }
}

// An exception that leaves the thread would end the process.
void Preparer::tell(const char* exception) noexcept try {
  report_(exception == nullptr ? no_memory_ : fmt::format("preparing a domain: {}", exception));
} catch (...) {
  try {
    report_(no_memory_);
  } catch (...) {  // then nobody hears of it
  }
}

// Whoever waits for files need not wait longer, whatever came of them.
void Preparer::end(const Job& job) {
  const auto* files = std::get_if<Files>(&job);
  if (files == nullptr) return;
  const std::lock_guard lock(mutex_);
  *files->ready = true;
  ready_.notify_all();
}

void Preparer::run(const Domain& domain) {
  BootFileCache cache = making_cache(domain.domid, domain.config);
  auto done = rehearse_boot(cache, domain.config, domain.wish);
  if (done) return;
  report_(fmt::format("domain {} ({}): could not be booted after a crash: {}", domain.domid,
                      domain.config.name, done.error().what()));
  const std::lock_guard lock(mutex_);
  troubles_[domain.domid] = done.error().what();
}

void Preparer::run(const Keep& keep) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(troubles_, [&](const auto& one) { return !keep.kernels.contains(one.first); });
  }
  std::vector<std::string> kernels;
  for (const auto& [domid, kernel] : keep.kernels) kernels.push_back(kernel);
  static_cast<void>(prune_kernel_cache(paths_.cache_directory, kernels));  // nobody needs to know
}

// What goes wrong is found, and said, by the one who asked.
void Preparer::run(const Files& files) {
  BootFileCache cache = making_cache(files.domid, files.config);
  static_cast<void>(cache.kernel());
  static_cast<void>(cache.acpi_tables());
}

BootFileCache Preparer::make_cache(const DomainConfig& config,
                                   std::function<Result<AcpiTables>()> tables) const {
  return BootFileCache({.kernel = config.kernel,
                        .ramdisk = config.ramdisk,
                        .cache_directory = paths_.cache_directory,
                        .run_directory = paths_.run_directory},
                       config.acpi_key, std::move(tables));
}

// For the worker.
BootFileCache Preparer::making_cache(unsigned domid, const DomainConfig& config) {
  return make_cache(config, [this, domid, key = config.acpi_key] {
    auto tables = make_tables_(domid);
    const std::lock_guard lock(mutex_);
    tables_.insert_or_assign(key, tables);
    return tables;
  });
}

Result<AcpiTables> Preparer::made_tables(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = tables_.find(key);
  if (found != tables_.end()) return found->second;
  return fail(ErrorCode::kBusy,
              "not ready yet: libxl is slow or hanging. Restart hadumpd (systemctl restart "
              "hadumpd) to discard what it is waiting for and try again");
}

BootFileCache Preparer::files(unsigned domid, const DomainConfig& config,
                              std::chrono::milliseconds patience) {
  BootFileCache cache =
      make_cache(config, [this, key = config.acpi_key] { return made_tables(key); });
  if (cache.ready()) return cache;
  const auto ready = std::make_shared<bool>(false);
  std::unique_lock lock(mutex_);
  queue_.emplace_front(Files{domid, config, ready});
  wake_.notify_all();
  static_cast<void>(ready_.wait_for(lock, patience, [&] { return *ready; }));
  return cache;
}

}  // namespace hadump
