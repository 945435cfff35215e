// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <libkdumpfile/kdumpfile.h>
#include <unistd.h>

#include <stdexcept>
#include <string_view>

#include "tests/lab/truth/dump_reader.h"

namespace hadump::lab {
namespace {

struct FreeContext {
  void operator()(kdump_ctx_t* context) const { kdump_free(context); }
};

class KdumpfileReader final : public DumpReader {
 public:
  explicit KdumpfileReader(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), context_(kdump_new()) {
    if (fd_ < 0 || !context_) throw std::runtime_error(path + ": cannot be opened");
    kdump_num_t end = 0;
    if (kdump_open_fd(context_.get(), fd_) != KDUMP_OK ||
        kdump_get_number_attr(context_.get(), "max_pfn", &end) != KDUMP_OK) {
      const std::string reason = kdump_get_err(context_.get());
      ::close(fd_);
      throw std::runtime_error(path + ": libkdumpfile: " + reason);
    }
    end_ = end;
  }
  ~KdumpfileReader() override {
    context_.reset();
    ::close(fd_);
  }
  KdumpfileReader(const KdumpfileReader&) = delete;
  KdumpfileReader& operator=(const KdumpfileReader&) = delete;

  std::uint64_t end() const override { return end_; }

  bool read(std::uint64_t frame, std::span<std::byte, kFrameSize> out) override {
    std::size_t length = out.size();
    const kdump_status status =
        kdump_read(context_.get(), KDUMP_MACHPHYSADDR, frame * kFrameSize, out.data(), &length);
    if (status == KDUMP_ERR_NODATA || is_lost(status)) {
      kdump_clear_err(context_.get());
      return false;
    }
    if (status != KDUMP_OK || length != out.size())
      throw std::runtime_error(std::string("libkdumpfile: ") + kdump_get_err(context_.get()));
    return true;
  }

 private:
  /// A frame that the bitmap has and whose descriptor is empty, as makedumpfile leaves it, too.
  bool is_lost(kdump_status status) const {
    return status == KDUMP_ERR_CORRUPT &&
           std::string_view(kdump_get_err(context_.get())).ends_with("Wrong page size: 0");
  }

  int fd_;
  std::unique_ptr<kdump_ctx_t, FreeContext> context_;
  std::uint64_t end_ = 0;
};

}  // namespace

std::unique_ptr<DumpReader> open_kdumpfile(const std::string& path) {
  return std::make_unique<KdumpfileReader>(path);
}

}  // namespace hadump::lab
