// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/discard.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/base/trusted_path.h"
#include "core/save/journal.h"
#include "core/save/target.h"
#include "hv/capture/metadata.h"
#include "hv/capture/page_image.h"

namespace hadump {
namespace {

Result<> remove_if_there(const HeldFile& file) {
  auto done = file.remove();
  if (!done && done.error().os_errno() == ENOENT) return {};
  return done;
}

Result<> check_unread(const HeldFile& dump) {
  auto fd = dump.open(O_RDONLY);
  if (!fd) return {};  // not there, or nothing that anybody could read
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return fail(ErrorCode::kBusy, dump.path() + " is being read; is it mounted?");
  return {};
}

}  // namespace

Result<> discard_files(const CaptureRecord& record) {
  if (record.file.empty()) return {};
  auto dump = hold_trusted(record.file);
  if (!dump && dump.error().code() == ErrorCode::kNotFound) return {};
  if (!dump) return fail(std::move(dump));
  auto owner = owner_of_metadata(record.metadata, record.dump_id, record.name);
  if (!owner) return fail(std::move(owner));
  if (*owner == MetadataOwner::kSameDump) return {};
  if (*owner == MetadataOwner::kOther)
    return fail(ErrorCode::kBadData,
                record.metadata + " is not of this capture; its files are not deleted");
  const HeldFile incomplete = dump->beside(dump->name() + "-incomplete");
  for (const HeldFile& file : {*dump, incomplete})
    if (auto unread = check_unread(file); !unread) return unread;
  if (*owner == MetadataOwner::kNobody && (dump->exists() || incomplete.exists()))
    return fail(ErrorCode::kBadData, record.metadata +
                                         " is gone: whose dump lies beside it is not "
                                         "known, and it is not deleted");
  const std::string log = companion_of(record.order.to, record.file, "dmesg.txt");
  const std::string names[] = {dump->name(),
                               incomplete.name(),
                               journal_beside(*dump).name(),
                               std::filesystem::path(log).filename(),
                               image_beside(*dump).name(),
                               std::filesystem::path(record.metadata).filename()};
  for (const std::string& name : names)
    if (auto done = remove_if_there(dump->beside(name)); !done) return done;
  if (auto done = dump->sync_directory(); !done) return done;
  // What the admin has put into it keeps a directory of its own.
  const std::filesystem::path directory = std::filesystem::path(record.file).parent_path();
  const bool was_made = record.file != record.order.to;
  if (was_made && ::rmdir(directory.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST &&
      errno != ENOENT)
    return fail_os(errno, "removing " + directory.string());
  return {};
}

}  // namespace hadump
