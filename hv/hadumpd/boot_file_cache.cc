// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/boot_file_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "core/base/directory_entries.h"
#include "core/base/file.h"
#include "core/base/trusted_path.h"
#include "hv/domain/pvh_guest.h"
#include "hv/rescue/kernel_image.h"

namespace hadump {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The name of a kernel's unpacked copy.
Result<std::string> cached_name(const std::string& kernel) {
  struct stat info {};
  if (stat(kernel.c_str(), &info) != 0) return fail_os(errno, "looking at " + kernel);
  return fmt::format("kernel-{:x}-{:x}-{:x}-{}.{:09}", info.st_dev, info.st_ino, info.st_size,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).string();
}

bool is_there(const std::string& path) {
  return access(path.c_str(), R_OK) == 0;
}

/// Holds on to what was looked at: a trusted file, as is the way to it (trusted_path.h).
Result<MappedFile> map_trusted(const std::string& path) {
  auto held = hold_trusted(path);
  if (!held) return fail(std::move(held));
  auto file = held->open(O_RDONLY | O_NONBLOCK);
  if (!file) return fail(std::move(file));
  if (auto ours = check_trusted_file(file->get(), path); !ours) return fail(std::move(ours));
  return MappedFile::open(fmt::format("/proc/self/fd/{}", file->get()));
}

}  // namespace

Result<std::string> BootFileCache::cached_path() const {
  return cached_name(paths_.kernel).map([this](const std::string& name) {
    return paths_.cache_directory + "/" + name;
  });
}

// The path of an ELF kernel: the configured file itself, or its unpacked copy. A copy that others
// could have written is made anew.
Result<std::string> BootFileCache::unpacked_kernel() const {
  auto cached = cached_path();
  if (!cached || map_trusted(absolute(*cached))) return cached;
  auto file = read_file(paths_.kernel, kMaxKernelBytes);
  if (!file) return fail(std::move(file));
  if (is_elf(*file)) return paths_.kernel;
  auto kernel = extract_kernel(std::move(*file));
  if (!kernel) return fail(std::move(kernel), paths_.kernel);
  auto done = hold_in_own_directory(absolute(*cached)).and_then([&](const HeldFile& copy) {
    return copy.replace(as_text(*kernel), 0600);
  });
  if (!done) return fail(std::move(done));
  return cached;
}

Result<std::span<const std::byte>> BootFileCache::kernel() {
  if (kernel_.bytes().empty()) {
    auto mapped = MappedFile::open(paths_.kernel);
    // A bzImage is small; an ELF kernel is used where it is, without a copy.
    if (mapped && !is_elf(mapped->bytes()))
      mapped = unpacked_kernel().and_then([this](const std::string& path) {
        return path == paths_.kernel ? MappedFile::open(path) : map_trusted(absolute(path));
      });
    if (!mapped) return fail(std::move(mapped));
    kernel_ = std::move(*mapped);
  }
  return kernel_.bytes();
}

Result<std::span<const std::byte>> BootFileCache::ramdisk() {
  if (ramdisk_.bytes().empty() && !paths_.ramdisk.empty()) {
    auto mapped = MappedFile::open(paths_.ramdisk);
    if (!mapped) return fail(std::move(mapped));
    ramdisk_ = std::move(*mapped);
  }
  return ramdisk_.bytes();
}

std::string BootFileCache::table_path() const {
  return fmt::format("{}/acpi-{}", paths_.run_directory, table_key_);
}

Result<AcpiTables> BootFileCache::kept_tables() const {
  constexpr std::uint64_t kMaxTableBytes = 1_MiB;
  auto text = read_trusted_text_file(absolute(table_path()), kMaxTableBytes);
  if (!text) return fail(std::move(text));
  const auto bytes = std::as_bytes(std::span(*text));
  AcpiTables tables{kAcpiFrames.begin, {bytes.begin(), bytes.end()}};
  if (auto checked = check_acpi_tables(tables); !checked) return fail(std::move(checked));
  return tables;
}

bool BootFileCache::ready() const {
  if (!kept_tables()) return false;
  const auto file = MappedFile::open(paths_.kernel);
  if (!file) return false;
  if (is_elf(file->bytes())) return true;
  const auto cached = cached_path();
  return cached && is_there(*cached);
}

Result<AcpiTables> BootFileCache::acpi_tables() {
  if (auto found = kept_tables()) return found;
  auto kept = hold_in_own_directory(absolute(table_path()));
  if (!kept) return fail(std::move(kept));
  auto tables = tables_();
  if (!tables) return tables;
  // Without the file, the next crash takes a second longer.
  static_cast<void>(kept->replace(as_text(tables->bytes), 0600));
  return tables;
}

std::vector<std::string> prune_kernel_cache(const std::string& cache_directory,
                                            std::span<const std::string> kernels) {
  std::set<std::string> used;
  for (const std::string& kernel : kernels)
    if (auto name = cached_name(kernel)) used.insert(*name);
  std::vector<std::string> removed;
  // What cannot be read is looked at the next time.
  static_cast<void>(for_each_entry(cache_directory, [&](const auto& entry) {
    const std::string name = entry.path().filename();
    std::error_code failure;
    if (name.starts_with("kernel-") && !used.contains(name) &&
        std::filesystem::remove(entry.path(), failure))
      removed.push_back(name);
  }));
  return removed;
}

}  // namespace hadump
