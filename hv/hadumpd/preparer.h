#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

#include "hv/agent/domain_config.h"
#include "hv/agent/twin.h"
#include "hv/hadumpd/boot_file_cache.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Gets what a domain would boot from ready while it still runs: unpacks its kernel and makes its
/// ACPI tables, on a thread with Xen handles of its own. Plans its boot, too, so that what will not
/// boot is known before a crash.
///
/// Threads: all functions may be called from one thread; the work is done on another.
class Preparer {
 public:
  struct Paths {
    std::string cache_directory;
    std::string run_directory;
    TwinMark twin_mark{};               ///< of the domains that are made for their ACPI tables
    std::function<void()> twin_made{};  ///< called while there is one; may be empty
  };
  using Report = std::function<void(const std::string& line)>;

  /// @param log     borrowed. @param report  called on the worker's thread with what went wrong.
  Preparer(XenLog& log, Paths paths, Report report);
  Preparer(const Preparer&) = delete;
  Preparer& operator=(const Preparer&) = delete;
  /// Waits for the piece of work at hand.
  ~Preparer();

  void prepare(unsigned domid, const DomainConfig& config, std::uint64_t window_bytes);
  /// Forgets all domains but these, and removes the unpacked kernels that none of them needs, once
  /// what was to be prepared before is.
  /// @param kernels  the files of all domains that are looked after, by the domains' numbers.
  void keep_only(std::map<unsigned, std::string> kernels);
  /// Why the domain could not be booted after a crash; empty when it could, or is being prepared.
  std::string trouble(unsigned domid);

  /// The files of a domain, prepared or not. Hold it only for a crash run: nothing else is
  /// prepared in the meantime, and what is being prepared is waited for.
  class Files {
   public:
    BootFiles& operator*() { return cache_; }

   private:
    friend class Preparer;
    Files(std::mutex& mutex, BootFileCache cache) : lock_(mutex), cache_(std::move(cache)) {}
    std::unique_lock<std::mutex> lock_;
    BootFileCache cache_;
  };
  Files files(unsigned domid, const DomainConfig& config);

 private:
  struct Domain {
    unsigned domid;
    DomainConfig config;
    std::uint64_t window_bytes;
  };
  struct Keep {
    std::map<unsigned, std::string> kernels;
  };
  using Job = std::variant<Domain, Keep>;
  void add(Job job);
  void work(const std::stop_token& stop);
  void run(const Domain& domain);
  void run(const Keep& keep);
  BootFileCache make_cache(unsigned domid, const DomainConfig& config);
  Result<AcpiTables> make_tables(unsigned domid);

  XenLog& log_;
  Paths paths_;
  Report report_;
  std::mutex files_mutex_;  ///< held while files are made or used; taken without queue_mutex_
  std::mutex queue_mutex_;
  std::condition_variable_any wake_;
  std::deque<Job> queue_;                     ///< guarded by queue_mutex_
  std::map<unsigned, std::string> troubles_;  ///< by domid; guarded by queue_mutex_
  std::jthread worker_;                       ///< last: it uses all of the above
};

}  // namespace hadump
