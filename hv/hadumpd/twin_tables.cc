// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/twin_tables.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

namespace hadump {
namespace {

// Longer than any test.
constexpr unsigned kHungSeconds = 24 * 3600;

}  // namespace

Result<std::unique_ptr<TwinTables>> TwinTables::create(XenLog& log, StallWatch& stalls,
                                                       Setting setting) {
  struct stat info {};
  if (stat(setting.state_directory.c_str(), &info) != 0)
    return fail_os(errno, "looking at " + setting.state_directory);
  TwinMark mark = twin_mark(info.st_dev, info.st_ino);
  return std::unique_ptr<TwinTables>(
      new TwinTables(log, stalls, std::move(setting), std::move(mark)));
}

void TwinTables::destroy_leftovers() try {
  leftovers_ = std::jthread([this] {
    try {
      const std::lock_guard lock(twins_);
      const WatchedWork work(stalls_, "destroying leftovers of an earlier hadumpd with libxl");
      if (setting_.hang_at == "leftovers") sleep(kHungSeconds);
      destroy_all();
    } catch (const std::exception& e) {
      spdlog::warn("destroying leftovers of an earlier hadumpd: {}, continuing", e.what());
    }
  });
} catch (const std::system_error& e) {  // no thread
  spdlog::warn("destroying leftovers of an earlier hadumpd: {}, continuing", e.what());
}

// What we were killed over would otherwise stay forever: nobody starts it, and its memory is the
// host's.
void TwinTables::destroy_all() const {
  auto twins = [&]() -> Result<std::vector<unsigned>> {
    auto handles = XenHandles::open(log_);
    if (!handles) return fail(std::move(handles));
    auto libxl = open_libxl(log_);
    if (!libxl) return fail(std::move(libxl));
    return Toolstack(libxl->get(), *handles).destroy_leftover_twins(mark_);
  }();
  if (!twins)
    spdlog::warn("destroying leftovers of an earlier hadumpd: {}, continuing",
                 twins.error().what());
  else
    for (unsigned domid : *twins)
      spdlog::info("domain {}: destroyed; an earlier hadumpd had created it for its ACPI tables",
                   domid);
}

// Handles of its own each time: it is rare, and no two threads then share one.
Result<AcpiTables> TwinTables::make(unsigned domid) {
  const WatchedWork work(stalls_,
                         fmt::format("domain {}: creating its ACPI tables with libxl", domid));
  const std::lock_guard lock(twins_);
  auto handles = XenHandles::open(log_);
  if (!handles) return fail(std::move(handles));
  auto libxl = open_libxl(log_);
  if (!libxl) return fail(std::move(libxl));
  const auto made = [&] {
    if (setting_.hang_at == "twin-made") sleep(kHungSeconds);
  };
  return Toolstack(libxl->get(), *handles)
      .pristine_acpi_tables(domid, setting_.run_directory + "/twin-kernel", mark_, made);
}

}  // namespace hadump
