// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_mount/fuse_mount.h"

#define FUSE_USE_VERSION 31
#include <fcntl.h>
#include <fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <span>

namespace hadump {
namespace {

// Nothing ever changes.
constexpr double kForeverSeconds = 86400;

const DumpTree& tree() {
  return *static_cast<const DumpTree*>(fuse_get_context()->private_data);
}

// "/vmcore"; null for anything else, the directory included.
const DumpTree::File* file_at(const char* path) {
  return path[0] == '/' ? tree().find(path + 1) : nullptr;
}

void* begin(fuse_conn_info* /*connection*/, fuse_config* config) {
  config->kernel_cache = 1;
  config->entry_timeout = config->attr_timeout = kForeverSeconds;
  return fuse_get_context()->private_data;
}

int get_attributes(const char* path, struct stat* out, fuse_file_info* /*file*/) {
  *out = {};
  out->st_uid = ::geteuid();
  out->st_gid = ::getegid();
  out->st_mtime = out->st_ctime = out->st_atime = tree().time_s();
  if (std::strcmp(path, "/") == 0) {
    out->st_mode = S_IFDIR | 0500;
    out->st_nlink = 2;
    return 0;
  }
  const DumpTree::File* file = file_at(path);
  if (file == nullptr) return -ENOENT;
  out->st_mode = S_IFREG | 0400;
  out->st_nlink = 1;
  out->st_size = static_cast<off_t>(file->bytes);
  out->st_blocks = static_cast<blkcnt_t>((file->bytes + 511) / 512);
  return 0;
}

int list(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*,
         fuse_readdir_flags) {
  if (std::strcmp(path, "/") != 0) return -ENOENT;
  for (const char* name : {".", ".."}) fill(buffer, name, nullptr, 0, fuse_fill_dir_flags{});
  for (const DumpTree::File& file : tree().files())
    fill(buffer, file.name.c_str(), nullptr, 0, fuse_fill_dir_flags{});
  return 0;
}

int open_file(const char* path, fuse_file_info* info) {
  if (file_at(path) == nullptr) return -ENOENT;
  return (info->flags & O_ACCMODE) == O_RDONLY ? 0 : -EROFS;
}

int read_file(const char* path, char* buffer, std::size_t size, off_t offset,
              fuse_file_info* /*info*/) {
  const DumpTree::File* file = file_at(path);
  if (file == nullptr) return -ENOENT;
  if (offset < 0) return -EINVAL;
  const auto read = file->read(static_cast<std::uint64_t>(offset),
                               std::as_writable_bytes(std::span(buffer, size)));
  return read ? static_cast<int>(*read) : -EIO;
}

fuse_operations operations() {
  fuse_operations calls{};
  calls.init = begin;
  calls.getattr = get_attributes;
  calls.readdir = list;
  calls.open = open_file;
  calls.read = read_file;
  return calls;
}

}  // namespace

Result<> mount_dump(const DumpTree& tree, const std::string& directory, bool foreground) {
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) return fail_os(errno, "mounting at " + directory);
  if (!S_ISDIR(info.st_mode)) return fail_os(ENOTDIR, "mounting at " + directory);
  char name[] = "hadump", option[] = "-o",
       options[] = "ro,nosuid,nodev,noexec,default_permissions,fsname=hadump,subtype=hadump";
  char* words[] = {name, option, options, nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, words);
  const fuse_operations calls = operations();
  const std::unique_ptr<fuse, decltype(&fuse_destroy)> fs(
      fuse_new(&arguments, &calls, sizeof(calls), const_cast<DumpTree*>(&tree)), fuse_destroy);
  fuse_opt_free_args(&arguments);
  if (!fs) return fail(ErrorCode::kUnsupported, "FUSE does not start");
  if (fuse_mount(fs.get(), directory.c_str()) != 0)
    return fail(ErrorCode::kUnsupported,
                "FUSE cannot mount at " + directory +
                    "; this needs root and the kernel module fuse (modprobe fuse)");
  Result<> done;
  if (fuse_daemonize(foreground ? 1 : 0) != 0) {
    done = fail_os(errno, "going into the background");
  } else if (fuse_session* session = fuse_get_session(fs.get());
             fuse_set_signal_handlers(session) != 0) {
    done = fail(ErrorCode::kOs, "FUSE cannot handle signals");
  } else {
    // What it returns is a signal's number, or an error after which nothing is mounted any more.
    static_cast<void>(fuse_loop_mt(fs.get(), 0));
    fuse_remove_signal_handlers(session);
  }
  fuse_unmount(fs.get());
  return done;
}

}  // namespace hadump
