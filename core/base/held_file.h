// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// A file by its name in a directory that is held open. Whatever the directory's path leads to
/// later, the file is in the one that was looked at. A link of the file's own name is never
/// followed. The file need not exist. Cheap to copy.
///
/// Threads: const, may be shared.
class HeldFile {
 public:
  /// Opens the directory of `path`, following links to it as open(2) does. Where only trusted
  /// directories will do: hold_trusted() (trusted_path.h). @return what open(2) said.
  static Result<HeldFile> at(const std::string& path);
  /// @param directory  open for reading.
  /// @param path       of the file, for people.
  HeldFile(UniqueFd directory, std::string path);

  /// Another name in the same directory.
  HeldFile beside(const std::string& name) const;

  std::string name() const;
  /// Where it was when its directory was opened: for people, and to be found again by a later run.
  const std::string& path() const { return path_; }

  /// open(2) with O_NOFOLLOW and O_CLOEXEC. @return its errors, with the path in the text.
  Result<UniqueFd> open(int flags, unsigned mode = 0) const;
  /// For a library that opens files by path: leads to it in this process, as long as this object
  /// or a copy of it lives.
  std::string path_through_proc() const;
  /// Whether anything of the name is there, if only a link.
  bool exists() const;
  /// Whether `fd` is what has the name now.
  bool is(int fd) const;
  /// Takes another name, in place of what has it. Not durable without sync_directory().
  Result<> rename_to(const std::string& name) const;
  /// The same, but EEXIST when something has that name already.
  Result<> rename_to_new(const std::string& name) const;
  Result<> remove() const;
  /// See write_file_atomically().
  Result<> replace(std::string_view content, unsigned mode) const;
  /// As replace(), but keeps the new file: open for appending, and locked (lock_for_writing()) from
  /// before it has the name. @param only_new  EEXIST when something has the name already.
  Result<UniqueFd> replace_locked(std::string_view content, unsigned mode, bool only_new) const;
  /// As replace(), but a power cut may undo it or leave an empty file.
  Result<> replace_unsynced(std::string_view content, unsigned mode) const;
  /// fsync of the directory: makes a rename or a new name durable.
  Result<> sync_directory() const;

 private:
  Result<> put(std::string_view content, unsigned mode, bool synced) const;
  HeldFile(std::shared_ptr<const UniqueFd> directory, std::string path)
      : directory_(std::move(directory)), path_(std::move(path)) {}

  std::shared_ptr<const UniqueFd> directory_;
  std::string path_;
};

std::vector<std::string> paths_of(const std::vector<HeldFile>& files);

}  // namespace hadump
