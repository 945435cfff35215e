// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "tests/lab/truth/dump_reader.h"

namespace hadump::lab {
namespace {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (fd < 0 || ::fstat(fd, &status) != 0)
      throw std::runtime_error(path + ": " + std::strerror(errno));
    size_ = static_cast<std::size_t>(status.st_size);
    data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    ::close(fd);
    if (data_ == MAP_FAILED) throw std::runtime_error(path + ": cannot be mapped");
  }
  ~MappedFile() { ::munmap(data_, size_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

class ElfReader final : public DumpReader {
 public:
  explicit ElfReader(const std::string& path) : file_(path) {
    const auto bytes = file_.bytes();
    Elf64_Ehdr header{};
    if (bytes.size() < sizeof(header)) throw std::runtime_error(path + ": too short");
    std::memcpy(&header, bytes.data(), sizeof(header));
    const std::uint64_t table_end =
        header.e_phoff + std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
    if (header.e_phentsize != sizeof(Elf64_Phdr) || table_end > bytes.size())
      throw std::runtime_error(path + ": no program headers where the header says");
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr program{};
      std::memcpy(&program, bytes.data() + header.e_phoff + i * sizeof(program), sizeof(program));
      if (program.p_type != PT_LOAD || program.p_filesz == 0) continue;
      if (program.p_offset > bytes.size() || program.p_filesz > bytes.size() - program.p_offset)
        throw std::runtime_error(path + ": a segment ends past the end of the file");
      loads_.push_back(program);
      end_ = std::max(end_, (program.p_paddr + program.p_filesz) / kFrameSize);
    }
  }

  std::uint64_t end() const override { return end_; }

  bool read(std::uint64_t frame, std::span<std::byte, kFrameSize> out) override {
    const std::uint64_t address = frame * kFrameSize;
    const auto holds = [address](const Elf64_Phdr& load) {
      return address >= load.p_paddr && address - load.p_paddr + kFrameSize <= load.p_filesz;
    };
    // Neighbouring frames come one after the other.
    if (last_ >= loads_.size() || !holds(loads_[last_])) {
      const auto found = std::find_if(loads_.begin(), loads_.end(), holds);
      if (found == loads_.end()) return false;
      last_ = static_cast<std::size_t>(found - loads_.begin());
    }
    const Elf64_Phdr& load = loads_[last_];
    std::memcpy(out.data(), file_.bytes().data() + load.p_offset + (address - load.p_paddr),
                kFrameSize);
    return true;
  }

 private:
  MappedFile file_;
  std::vector<Elf64_Phdr> loads_;
  std::uint64_t end_ = 0;
  std::size_t last_ = 0;
};

}  // namespace

std::unique_ptr<DumpReader> open_elf(const std::string& path) {
  return std::make_unique<ElfReader>(path);
}

std::unique_ptr<DumpReader> open_dump(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char magic[SELFMAG] = {};
  const ssize_t got = fd < 0 ? -1 : ::read(fd, magic, sizeof(magic));
  if (fd >= 0) ::close(fd);
  if (got != SELFMAG) throw std::runtime_error(path + ": cannot be read");
  return std::memcmp(magic, ELFMAG, SELFMAG) == 0 ? open_elf(path) : open_kdumpfile(path);
}

}  // namespace hadump::lab
