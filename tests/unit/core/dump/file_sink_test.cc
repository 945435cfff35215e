// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/file_sink.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "core/base/file.h"
#include "core/base/units.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

class FileSink : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    // Not /tmp, which may be a tmpfs: the build directory is where O_DIRECT has a chance.
    std::string name = (fs::current_path() / "file-sink-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = name + "/dump";
  }
  void TearDown() override { fs::remove_all(directory_); }

  Result<std::unique_ptr<DumpSink>> open() const {
    FileSinkOptions options;
    options.direct = GetParam();
    return open_file_sink(path_, options);
  }

  /// Direct writes were asked for and this file system has them.
  bool is_direct() const {
    const std::string probe = path_ + "-probe";
    const UniqueFd fd(::open(probe.c_str(), O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600));
    return GetParam() && fd && ::fallocate(fd.get(), 0, 0, 4096) == 0;
  }

  fs::path directory_;
  std::string path_;
};

TEST_P(FileSink, HasItsNameOnlyWhenItIsWhole) {
  auto sink = open();
  ASSERT_TRUE(sink) << sink.error().what();
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_EQ((*sink)->location(), path_ + "-incomplete");
  struct stat info {};
  ASSERT_EQ(::stat((path_ + "-incomplete").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  const std::vector<std::byte> bytes(5000, std::byte{7});
  ASSERT_TRUE((*sink)->write_data(8192, bytes));
  ASSERT_TRUE((*sink)->publish(8192 + 5000));
  EXPECT_EQ((*sink)->location(), path_);
  EXPECT_EQ(fs::file_size(path_), 8192U + 5000U);
  EXPECT_FALSE(fs::exists(path_ + "-incomplete"));
}

TEST_P(FileSink, OverwritesNothing) {
  { ASSERT_TRUE(open()); }  // left incomplete
  auto second = open();
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)->location(), path_ + "-incomplete.1");
  ASSERT_TRUE((*second)->publish(0));
  auto third = open();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().os_errno(), EEXIST);
}

// A directory that cannot be made durable: an empty file in it would be taken for a dump's rest.
TEST_P(FileSink, LeavesNothingBehindWhenItCannotBegin) {
  UniqueFd only_a_path(::open(directory_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(only_a_path);
  FileSinkOptions options;
  options.direct = GetParam();
  const auto sink = open_file_sink(HeldFile(std::move(only_a_path), path_), options);
  ASSERT_FALSE(sink);
  EXPECT_EQ(sink.error().os_errno(), EBADF);
  EXPECT_TRUE(fs::is_empty(directory_));
}

// Appends of any size, holes, and going back after a failure must give what was written last.
TEST_P(FileSink, HoldsWhatWasWrittenLast) {
  auto sink = open();
  ASSERT_TRUE(sink);
  std::mt19937 random(5);
  std::vector<std::byte> expected;
  std::uint64_t at = 4096;
  std::uint64_t furthest = at;
  for (int i = 0; i < 300; ++i) {
    const auto action = random() % 20;
    // A hole is one only where nothing was ever written.
    if (action == 0 && at == furthest)
      at = round_up(at, kFrameSize) + kFrameSize * (random() % 200);
    if (action == 1) at -= random() % std::min<std::uint64_t>(at - 4096 + 1, 700000);
    if (action == 2) {
      ASSERT_TRUE((*sink)->make_durable());
    }
    std::vector<std::byte> bytes(1 + random() % (action < 5 ? 300000 : 9000));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    ASSERT_TRUE((*sink)->write_data(at, bytes));
    // Going back means that what followed is void: the format writes it anew.
    expected.resize(std::max<std::size_t>(at + bytes.size(), 0));
    std::copy(bytes.begin(), bytes.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
    at += bytes.size();
    furthest = std::max(furthest, at);
  }
  const std::vector<std::byte> head(4096, std::byte{9});
  ASSERT_TRUE((*sink)->write_table(0, head));
  std::copy(head.begin(), head.end(), expected.begin());
  ASSERT_TRUE((*sink)->publish(expected.size()));
  const auto content = read_file(path_, 1U << 30);
  ASSERT_TRUE(content);
  ASSERT_EQ(content->size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ((*content)[i], expected[i]) << i;
}

/// Data of a dump whose room is filled by other threads, in any order.
class RoomFiller {
 public:
  explicit RoomFiller(DumpSink& sink) : sink_(sink) {}

  /// @return the sink's error; `bytes` must live until finish().
  Result<> put(std::uint64_t offset, std::span<const std::byte> bytes) {
    auto room = sink_.begin_data(offset, bytes.size());
    if (!room) return fail(std::move(room));
    if (room->empty()) return sink_.write_data(offset, bytes);
    threads_.emplace_back([this, room = *room, bytes, delay = random_() % 500]() mutable {
      std::this_thread::sleep_for(std::chrono::microseconds(delay));
      for (const DataRoom::Part& part : room.parts) {
        std::copy_n(bytes.begin(), part.bytes.size(), part.bytes.begin());
        bytes = bytes.subspan(part.bytes.size());
      }
      sink_.end_data(room);
    });
    ++rooms_;
    return {};
  }

  void finish() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::size_t rooms() const { return rooms_; }

 private:
  DumpSink& sink_;
  std::vector<std::thread> threads_;
  std::mt19937 random_{7};
  std::size_t rooms_ = 0;
};

std::vector<std::byte> random_bytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Pieces of any size, so that most of them share blocks and buffers with their neighbours; holes;
// and moments at which all of it is on the disk.
TEST_P(FileSink, HoldsWhatManyThreadsFill) {
  auto sink = open();
  ASSERT_TRUE(sink);
  RoomFiller filler(**sink);
  std::mt19937 random(6);
  const std::vector<std::byte> data = random_bytes(kMaxRoomBytes, 1);
  std::vector<std::byte> expected;
  std::uint64_t at = 4096;
  for (int i = 0; i < 400; ++i) {
    if (i % 50 == 49) {
      filler.finish();
      ASSERT_TRUE((*sink)->make_durable());
      std::ifstream file((*sink)->location(), std::ios::binary);
      std::vector<std::byte> durable(expected.size());
      ASSERT_TRUE(file.read(reinterpret_cast<char*>(durable.data()),
                            static_cast<std::streamsize>(durable.size())));
      ASSERT_TRUE(durable == expected) << i;
    }
    if (random() % 16 == 0) at = round_up(at, kFrameSize) + kFrameSize * (random() % 40);
    const std::size_t size = i % 10 == 0 ? kMaxRoomBytes : 1 + random() % 60'000;
    const auto bytes = std::span(data).first(size);
    ASSERT_TRUE(filler.put(at, bytes));
    expected.resize(at + size);
    std::copy(bytes.begin(), bytes.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
    at += size;
  }
  filler.finish();
  EXPECT_EQ(filler.rooms(), is_direct() ? 400U : 0U);
  ASSERT_TRUE((*sink)->publish(expected.size()));
  const auto content = read_file(path_, 1U << 30);
  ASSERT_TRUE(content);
  EXPECT_TRUE(*content == expected);
}

/// A direct write that extends the file is waited for. So the file is longer than its data while it
/// is written, which also is what a kill leaves behind; but not when the sink had time to clean up.
TEST_P(FileSink, IsLongerThanItsDataOnlyWhileItIsWritten) {
  auto sink = open();
  ASSERT_TRUE(sink);
  const std::vector<std::byte> bytes(3U << 20, std::byte{7});
  ASSERT_TRUE((*sink)->write_data(8192, bytes));
  ASSERT_TRUE((*sink)->make_durable());
  const std::string partial = (*sink)->location();
  const std::uint64_t end = 8192 + bytes.size();
  std::ifstream file(partial, std::ios::binary);
  std::string content(fs::file_size(partial), ' ');
  ASSERT_TRUE(file.read(content.data(), static_cast<std::streamsize>(content.size())));
  EXPECT_EQ(content.size() > end, is_direct()) << "what keeps the file's end ahead?";
  ASSERT_GE(content.size(), end);
  EXPECT_EQ(content.find_first_not_of('\7', 8192), content.size() > end ? end : std::string::npos);
  EXPECT_EQ(content.find_first_not_of('\0', end), std::string::npos);
  sink->reset();
  EXPECT_EQ(fs::file_size(partial), end);
}

TEST_P(FileSink, SaysWhenTheFileMayNotGrow) {
  auto sink = open();
  ASSERT_TRUE(sink);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{1 << 20, old.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::vector<std::byte> bytes(3 << 20, std::byte{1});
  Result<> written = (*sink)->write_data(0, bytes);
  if (written) written = (*sink)->make_durable();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().os_errno(), EFBIG);
  EXPECT_FALSE(fs::exists(path_));
}

/// A file that may not grow beyond `bytes` while this lives: a full disk, to what writes it.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &old_), 0);
    const rlimit small{bytes, old_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &old_), 0);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

// The caller goes back to where the last portion ended, and writes less: nothing may be told, and
// nothing written, of what failed before.
TEST_P(FileSink, ForgetsWhatDidNotFitWhenItGoesBack) {
  constexpr std::size_t kLimit = 2U << 20;
  for (const std::size_t saved : {std::size_t{100'000}, std::size_t{1U << 20}}) {
    for (const std::size_t less : {std::size_t{0}, std::size_t{200'000}}) {
      auto sink = open();
      ASSERT_TRUE(sink);
      std::vector<std::byte> expected(4096 + saved, std::byte{1});
      ASSERT_TRUE((*sink)->write_data(4096, std::span(expected).subspan(4096)));
      ASSERT_TRUE((*sink)->make_durable());
      {
        const FileSizeLimit limit(kLimit);
        const std::vector<std::byte> pages(50'000, std::byte{2});
        Result<> written;
        for (std::uint64_t at = expected.size(); written && at < 3 * kLimit; at += pages.size())
          written = (*sink)->write_data(at, pages);
        if (written) written = (*sink)->make_durable();
        ASSERT_FALSE(written);
        auto back = (*sink)->write_data(expected.size(), {});
        ASSERT_TRUE(back) << back.error().what();
        const std::vector<std::byte> fewer(less, std::byte{3});
        ASSERT_TRUE((*sink)->write_data(expected.size(), fewer));
        expected.insert(expected.end(), fewer.begin(), fewer.end());
        const auto durable = (*sink)->make_durable();
        ASSERT_TRUE(durable) << durable.error().what();
        EXPECT_LE(fs::file_size((*sink)->location()), round_up(expected.size(), kFrameSize))
            << "what did not become data is space for tables";
      }
      std::fill_n(expected.begin(), 4096, std::byte{0});
      ASSERT_TRUE((*sink)->publish(expected.size()));
      const auto content = read_file(path_, 1U << 30);
      ASSERT_TRUE(content);
      EXPECT_TRUE(*content == expected) << saved << ", " << less;
      fs::remove(path_);
    }
  }
}

// On a disk with less room than is taken ahead: what is given back is not what was there before.
TEST_P(FileSink, KeepsItsTablesWhenThereIsNoRoomAhead) {
  const std::vector<std::byte> table = random_bytes(8192, 4);
  const std::vector<std::byte> data = random_bytes(100'000, 5);
  auto sink = open();
  ASSERT_TRUE(sink);
  {
    const FileSizeLimit limit(4U << 20);
    ASSERT_TRUE((*sink)->write_table(0, table));
    ASSERT_TRUE((*sink)->write_data(1U << 20, data));
    ASSERT_TRUE((*sink)->make_durable());
  }
  ASSERT_TRUE((*sink)->publish((1U << 20) + data.size()));
  const auto content = read_file(path_, 1U << 30);
  ASSERT_TRUE(content);
  EXPECT_TRUE(std::equal(table.begin(), table.end(), content->begin()));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), content->begin() + (1U << 20)));
}

// Nobody who filled it learns that it did not fit: whoever hands out room does, and goes back.
TEST_P(FileSink, TellsOfRoomThatDidNotFit) {
  auto sink = open();
  ASSERT_TRUE(sink);
  std::vector<std::byte> expected = random_bytes(700'000, 2);
  std::fill_n(expected.begin(), 4096, std::byte{0});
  ASSERT_TRUE((*sink)->write_data(4096, std::span(expected).subspan(4096)));
  ASSERT_TRUE((*sink)->make_durable());
  const std::vector<std::byte> data = random_bytes(300'000, 3);
  {
    const FileSizeLimit limit(4U << 20);
    RoomFiller filler(**sink);
    Result<> written;
    for (std::uint64_t at = expected.size(); written && at < 16U << 20; at += data.size())
      written = filler.put(at, data);
    filler.finish();
    if (written) written = (*sink)->make_durable();
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().os_errno(), EFBIG) << written.error().what();
    const auto back = (*sink)->write_data(expected.size(), {});
    ASSERT_TRUE(back) << back.error().what();
    ASSERT_TRUE(filler.put(expected.size(), data));
    filler.finish();
    const auto durable = (*sink)->make_durable();
    ASSERT_TRUE(durable) << durable.error().what();
  }
  expected.insert(expected.end(), data.begin(), data.end());
  ASSERT_TRUE((*sink)->publish(expected.size()));
  const auto content = read_file(path_, 1U << 30);
  ASSERT_TRUE(content);
  EXPECT_TRUE(*content == expected);
}

INSTANTIATE_TEST_SUITE_P(All, FileSink, testing::Bool(), [](const auto& which) {
  return std::string(which.param ? "direct" : "buffered");
});

}  // namespace
}  // namespace hadump
