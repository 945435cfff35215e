// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/page_image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

constexpr std::uint64_t kImageFrames = 1024;

class PageImageTest : public testing::Test {
 protected:
  PageImageTest() {
    auto made = PageImage::create(file_, Gfn{kImageFrames});
    EXPECT_TRUE(made) << made.error().what();
    image_ = std::move(*made);
    image_->set_present({{Gfn{0}, Gfn{100}}, {Gfn{200}, Gfn{kImageFrames}}});
  }
  static std::vector<std::byte> pages(std::initializer_list<int> values) {
    std::vector<std::byte> all;
    for (const int value : values) all.insert(all.end(), kFrameSize, static_cast<std::byte>(value));
    return all;
  }
  std::vector<int> first_bytes(FrameRange range) const {
    auto mapping = image_->map(range, Access::kRead).value();
    std::vector<int> all;
    for (std::size_t i = 0; i < range.frames(); ++i)
      all.push_back(mapping.present(i) ? std::to_integer<int>(mapping.frame(i)[4095]) : -1);
    return all;
  }
  std::uint64_t blocks() const {
    struct stat info {};
    EXPECT_EQ(::stat(file_.path().c_str(), &info), 0);
    return static_cast<std::uint64_t>(info.st_blocks);
  }

  TemporaryDirectory directory_;
  HeldFile file_ = HeldFile::at(directory_ / "image").value();
  std::unique_ptr<PageImage> image_;
};

TEST_F(PageImageTest, HasWhatWasWrittenLast) {
  ASSERT_TRUE(image_->write(Gfn{10}, pages({1, 0, 3, 4}), true));
  ASSERT_TRUE(image_->write(Gfn{12}, pages({0, 9}), false));
  EXPECT_EQ(first_bytes({Gfn{9}, Gfn{15}}), (std::vector{0, 1, 0, 0, 9, 0}));
  EXPECT_EQ(first_bytes({Gfn{98}, Gfn{102}}), (std::vector{0, 0, -1, -1})) << "no such frames";
  const auto again = PageImage::open(file_).value();
  again->set_present({{Gfn{13}, Gfn{14}}});
  EXPECT_EQ(again->map({Gfn{13}, Gfn{14}}, Access::kRead).value().frame(0)[0], std::byte{9});
}

TEST_F(PageImageTest, PagesOfZerosTakeNoRoom) {
  ASSERT_TRUE(image_->write(Gfn{200}, std::vector<std::byte>(512 * kFrameSize), true));
  EXPECT_EQ(blocks(), 0U);
  ASSERT_TRUE(image_->write(Gfn{300}, pages({5, 5}), true));
  EXPECT_GT(blocks(), 0U);
}

TEST_F(PageImageTest, IsNotWrittenOverAFileNorReadFromOneThatOthersCanChange) {
  EXPECT_EQ(PageImage::create(file_, Gfn{1}).error().os_errno(), EEXIST);
  std::filesystem::permissions(file_.path(), std::filesystem::perms::all);
  EXPECT_EQ(PageImage::open(file_).error().code(), ErrorCode::kBadData);
}

// Which would be a signal, were the file mapped.
TEST_F(PageImageTest, AShortFileIsAnError) {
  std::filesystem::resize_file(file_.path(), 4096);
  EXPECT_FALSE(image_->map({Gfn{0}, Gfn{2}}, Access::kRead));
}

TEST_F(PageImageTest, CannotBeChangedAsADomainCan) {
  EXPECT_EQ(image_->map({Gfn{0}, Gfn{1}}, Access::kReadWrite).error().code(),
            ErrorCode::kUnsupported);
  EXPECT_FALSE(image_->set_limit_kib(1));
  EXPECT_FALSE(image_->populate({{Gfn{150}, Gfn{151}}}));
}

}  // namespace
}  // namespace hadump
