// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/kernel_log.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "core/base/printable.h"

namespace hadump {
namespace {

std::string prefix_of(const LogRecord& record) {
  return fmt::format("[{:5}.{:06}] ", record.time_ns / 1'000'000'000,
                     record.time_ns % 1'000'000'000 / 1'000);
}

std::string line_of(const LogRecord& record) {
  if (record.text.empty()) return {};
  const std::string prefix = prefix_of(record);
  return prefix + printable_log_text(record.text, std::string(prefix.size(), ' ')) + '\n';
}

/// The newest records that fit, and what they take.
struct Newest {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
};

Result<Newest> newest_that_fit(LogRing& ring) {
  Newest kept;
  const std::uint64_t all = ring.records();
  for (; kept.records < all; ++kept.records) {
    auto record = ring.record(all - 1 - kept.records);
    if (!record) return fail(std::move(record));
    const std::size_t bytes = line_of(*record).size();
    if (kept.bytes + bytes > kMaxLogBytes) break;
    kept.bytes += bytes;
  }
  return kept;
}

}  // namespace

std::string printable_log_text(std::string_view text, std::string_view indent) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      out.append("\n").append(indent);
    else if ((byte >= 0x20 && byte < 0x7F) || c == '\t')
      out += c;
    else
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
  }
  return out;
}

Result<std::string> kernel_log(const AddressSpace& space, const Vmcoreinfo& info) {
  auto ring = LogRing::open(space, info);
  if (!ring) return fail(std::move(ring));
  auto kept = newest_that_fit(*ring);
  if (!kept) return fail(std::move(kept));
  constexpr std::string_view kNotice = "(older records left out)\n";
  const std::uint64_t all = ring->records();
  std::string log;
  log.reserve(kNotice.size() + kept->bytes);
  if (kept->records < all) log = kNotice;
  for (std::uint64_t i = all - kept->records; i < all; ++i) {
    auto record = ring->record(i);
    if (!record) return fail(std::move(record));
    log += line_of(*record);
  }
  return log;
}

Result<std::string> kernel_log(const VmcoreSource& source) {
  auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout()));
  if (!info) return fail(std::move(info));
  auto space = AddressSpace::open(source, *info);
  if (!space) return fail(std::move(space));
  return kernel_log(*space, *info);
}

CrashIdentity crash_identity(const Vmcoreinfo& info) {
  CrashIdentity identity;
  identity.release = printable(info.text("OSRELEASE").value_or(""));
  identity.build_id = printable(info.text("BUILD-ID").value_or(""));
  if (const auto time = info.text("CRASHTIME")) {
    std::uint64_t seconds = 0;
    const auto [end, error] = std::from_chars(time->data(), time->data() + time->size(), seconds);
    if (error == std::errc() && end == time->data() + time->size()) identity.crash_time_s = seconds;
  }
  return identity;
}

}  // namespace hadump
