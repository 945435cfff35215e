#include "hv/hadumpd/preparer.h"

#include <fmt/format.h>

#include "hv/agent/rehearsal.h"
#include "hv/xen/toolstack.h"

namespace hadump {

Preparer::Preparer(XenLog& log, Paths paths, Report report)
    : log_(log),
      paths_(std::move(paths)),
      report_(std::move(report)),
      worker_([this](const std::stop_token& stop) { work(stop); }) {}

Preparer::~Preparer() {
  worker_.request_stop();
  wake_.notify_all();
}

void Preparer::add(Job job) {
  const std::lock_guard lock(queue_mutex_);
  queue_.push_back(std::move(job));
  wake_.notify_all();
}

void Preparer::prepare(unsigned domid, const DomainConfig& config, std::uint64_t window_bytes) {
  {
    const std::lock_guard lock(queue_mutex_);
    troubles_.erase(domid);
  }
  add(Domain{domid, config, window_bytes});
}

void Preparer::keep_only(std::map<unsigned, std::string> kernels) {
  add(Keep{std::move(kernels)});
}

std::string Preparer::trouble(unsigned domid) {
  const std::lock_guard lock(queue_mutex_);
  const auto found = troubles_.find(domid);
  return found == troubles_.end() ? "" : found->second;
}

void Preparer::work(const std::stop_token& stop) {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(queue_mutex_);
      if (!wake_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    std::visit([this](const auto& what) { run(what); }, job);
  }
}

void Preparer::run(const Domain& domain) {
  Result<> done;
  {
    const std::lock_guard lock(files_mutex_);
    BootFileCache cache = make_cache(domain.domid, domain.config);
    done = rehearse_boot(cache, domain.config, domain.window_bytes);
  }
  if (done) return;
  report_(fmt::format("domain {} ({}): it could not be booted after a crash: {}", domain.domid,
                      domain.config.name, done.error().what()));
  const std::lock_guard lock(queue_mutex_);
  troubles_[domain.domid] = done.error().what();
}

void Preparer::run(const Keep& keep) {
  {
    const std::lock_guard lock(queue_mutex_);
    std::erase_if(troubles_, [&](const auto& one) { return !keep.kernels.contains(one.first); });
  }
  std::vector<std::string> kernels;
  for (const auto& [domid, kernel] : keep.kernels) kernels.push_back(kernel);
  const std::lock_guard lock(files_mutex_);
  static_cast<void>(prune_kernel_cache(paths_.cache_directory, kernels));  // nobody needs to know
}

// Handles of its own each time: it is rare, and no two threads then share one.
Result<AcpiTables> Preparer::make_tables(unsigned domid) {
  auto handles = XenHandles::open(log_);
  if (!handles) return fail(std::move(handles));
  auto libxl = open_libxl(log_);
  if (!libxl) return fail(std::move(libxl));
  return Toolstack(libxl->get(), *handles)
      .pristine_acpi_tables(domid, paths_.run_directory + "/twin-kernel", paths_.twin_mark,
                            paths_.twin_made);
}

BootFileCache Preparer::make_cache(unsigned domid, const DomainConfig& config) {
  return BootFileCache({.kernel = config.kernel,
                        .ramdisk = config.ramdisk,
                        .cache_directory = paths_.cache_directory,
                        .run_directory = paths_.run_directory},
                       config.acpi_key, [this, domid] { return make_tables(domid); });
}

Preparer::Files Preparer::files(unsigned domid, const DomainConfig& config) {
  return Files(files_mutex_, make_cache(domid, config));
}

}  // namespace hadump
