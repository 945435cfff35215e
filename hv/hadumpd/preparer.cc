#include "hv/hadumpd/preparer.h"

#include <fmt/format.h>

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

void Preparer::prepare(unsigned domid, const DomainConfig& config) {
  const std::lock_guard lock(queue_mutex_);
  queue_.push_back({domid, config});
  wake_.notify_all();
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
    if (auto done = run(job); !done)
      report_(fmt::format("domain {} ({}): preparing for a crash: {}", job.domid, job.config.name,
                          done.error().what()));
  }
}

Result<> Preparer::run(const Job& job) {
  const std::lock_guard lock(files_mutex_);
  BootFileCache cache = make_cache(job.domid, job.config);
  if (auto kernel = cache.kernel(); !kernel) return fail(std::move(kernel), "the kernel");
  if (auto ramdisk = cache.ramdisk(); !ramdisk) return fail(std::move(ramdisk), "the initrd");
  if (auto tables = cache.acpi_tables(); !tables) return fail(std::move(tables), "ACPI tables");
  return {};
}

// Handles of its own each time: it is rare, and no two threads then share one.
Result<AcpiTables> Preparer::make_tables(unsigned domid) {
  auto handles = XenHandles::open(log_);
  if (!handles) return fail(std::move(handles));
  auto libxl = open_libxl(log_);
  if (!libxl) return fail(std::move(libxl));
  return Toolstack(libxl->get(), *handles)
      .pristine_acpi_tables(domid, paths_.run_directory + "/twin-kernel", paths_.twin_mark);
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
