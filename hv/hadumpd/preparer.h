// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

#include "hv/domain/domain_config.h"
#include "hv/hadumpd/boot_file_cache.h"
#include "hv/rescue/rehearsal.h"

namespace hadump {

/// Gets what a domain would boot from ready while it still runs: unpacks its kernel and makes its
/// ACPI tables, on a thread of its own. Plans its boot, too, so that what will not boot is known
/// before a crash.
///
/// Threads: the functions are for any thread; the work is done on one of its own. What hangs there
/// (libxl has no deadlines) keeps nobody else waiting, but for files() of a domain that is not
/// ready, and that no longer than its caller wants.
class Preparer {
 public:
  struct Paths {
    std::string cache_directory;
    std::string run_directory;
  };
  /// Makes a domain's ACPI tables; called on the worker's thread.
  using MakeTables = std::function<Result<AcpiTables>(unsigned domid)>;
  using Report = std::function<void(const std::string& line)>;

  /// @param report  called on the worker's thread with what went wrong.
  Preparer(Paths paths, MakeTables make_tables, Report report);
  Preparer(const Preparer&) = delete;
  Preparer& operator=(const Preparer&) = delete;
  /// Waits for the piece of work at hand.
  ~Preparer();

  void prepare(unsigned domid, const DomainConfig& config, const WindowWish& wish);
  /// Forgets all domains but these, and removes the unpacked kernels that none of them needs, once
  /// what was to be prepared before is.
  /// @param kernels  the files of all domains that are looked after, by the domains' numbers.
  void keep_only(std::map<unsigned, std::string> kernels);
  /// Why the domain could not be booted after a crash; empty when it could, or is being prepared.
  std::string trouble(unsigned domid);

  /// The files of a domain. What is not ready is made before all that waits.
  /// @param patience  how long that is waited for. What is not ready by then, is an error of the
  ///                  files' own functions.
  BootFileCache files(unsigned domid, const DomainConfig& config,
                      std::chrono::milliseconds patience);

 private:
  struct Domain {
    unsigned domid;
    DomainConfig config;
    WindowWish wish;
  };
  struct Keep {
    std::map<unsigned, std::string> kernels;
  };
  struct Files {
    unsigned domid;
    DomainConfig config;
    std::shared_ptr<bool> ready;  ///< guarded by mutex_
  };
  using Job = std::variant<Domain, Keep, Files>;
  void add(Job job);
  void work(const std::stop_token& stop);
  void tell(const char* exception) noexcept;  ///< null: there was no memory
  void end(const Job& job);
  void run(const Domain& domain);
  void run(const Keep& keep);
  void run(const Files& files);
  BootFileCache make_cache(const DomainConfig& config,
                           std::function<Result<AcpiTables>()> tables) const;
  BootFileCache making_cache(unsigned domid, const DomainConfig& config);
  Result<AcpiTables> made_tables(const std::string& key);

  Paths paths_;
  MakeTables make_tables_;
  Report report_;
  const std::string no_memory_ = "out of memory while preparing a domain";  ///< when none is left
  std::mutex mutex_;  ///< of all that follows; not held while anything is made
  std::condition_variable_any wake_;
  std::condition_variable ready_;
  std::deque<Job> queue_;
  std::map<unsigned, std::string> troubles_;          ///< by domid
  std::map<std::string, Result<AcpiTables>> tables_;  ///< what came of making them, by their key
  std::jthread worker_;                               ///< last: it uses all of the above
};

}  // namespace hadump
