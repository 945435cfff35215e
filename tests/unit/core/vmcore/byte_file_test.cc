// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/byte_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <string>

#include "core/base/unique_handle.h"
#include "core/base/units.h"

namespace hadump {
namespace {

/// A page of a mapping that cannot be had must be an error of map(), not a SIGBUS of whoever looks
/// at it.
TEST(OpenedFile, RefusesToMapWhatIsNotThere) {
  std::string path = testing::TempDir() + "hadump-byte-file-XXXXXX";
  const UniqueFd fd(::mkstemp(path.data()));
  ASSERT_TRUE(fd);
  ASSERT_EQ(::ftruncate(fd.get(), 4 * kFrameSize), 0);
  const auto file = OpenedFile::open(path);
  ::unlink(path.c_str());
  ASSERT_TRUE(file);
  EXPECT_TRUE((*file)->map(0, 4 * kFrameSize));
  ASSERT_EQ(::ftruncate(fd.get(), 2 * kFrameSize), 0);  // behind its back
  EXPECT_TRUE((*file)->map(0, 2 * kFrameSize));
  EXPECT_FALSE((*file)->map(0, 4 * kFrameSize));
}

/// What is in the page cache is cheaper to read; what is in /proc is not there at all until it is
/// asked for.
TEST(OpenedFile, IsBetterMappedOnlyInProc) {
  std::string path = testing::TempDir() + "hadump-byte-file-XXXXXX";
  const UniqueFd fd(::mkstemp(path.data()));
  ASSERT_TRUE(fd);
  const auto plain = OpenedFile::open(path);
  ::unlink(path.c_str());
  ASSERT_TRUE(plain);
  EXPECT_FALSE((*plain)->prefers_mapping());
  const auto proc = OpenedFile::open("/proc/version");
  ASSERT_TRUE(proc);
  EXPECT_TRUE((*proc)->prefers_mapping());
}

}  // namespace
}  // namespace hadump
