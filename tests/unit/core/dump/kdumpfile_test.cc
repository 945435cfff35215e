// SPDX-License-Identifier: GPL-2.0-or-later
// What others make of our files: libkdumpfile opens every form and reads what was saved.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <libkdumpfile/kdumpfile.h>

#include <cstdlib>
#include <filesystem>

#include "core/base/file.h"
#include "core/base/unique_handle.h"
#include "core/dump/file_sink.h"
#include "core/dump/flattened_sink.h"
#include "core/vmcore/open.h"
#include "tests/unit/core/dump/dump_fixture.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;
using KdumpHandle = UniqueHandle<kdump_ctx_t, kdump_free>;

struct Form {
  std::string name;
  const OutputFormat* format;
  std::string codec;
  bool flattened;
};

class Kdumpfile : public testing::TestWithParam<Form> {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "kdumpfile-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string save(const VmcoreSource& machine) {
    const std::string path = directory_ / "dump";
    std::vector<std::unique_ptr<DumpSink>> sinks;
    if (GetParam().flattened)
      sinks.push_back(
          std::move(*open_flattened_sink(*open_file(path, O_WRONLY | O_CREAT, 0600), path)));
    else
      sinks.push_back(std::move(*open_file_sink(path)));
    DumpOptions options;
    options.format = GetParam().format;
    options.codec = *parse_codec(GetParam().codec);
    auto writer =
        DumpWriter::create(machine, nullptr, machine.layout().frames, options, std::move(sinks));
    EXPECT_TRUE(writer);
    for (FrameSet portion; !(portion = (*writer)->next_portion(2_MiB)).empty();)
      EXPECT_TRUE((*writer)->write_portion(portion));
    EXPECT_TRUE((*writer)->finish());
    if (GetParam().flattened) put_together(path);
    return path;
  }

  /// Debian 12's libkdumpfile (0.5.1) does not know the flattened form itself.
  static void put_together(const std::string& path) {
    const auto flattened = read_file(path, 1U << 30);
    ASSERT_TRUE(flattened);
    const auto image = rearrange(*flattened);
    ASSERT_TRUE(image);
    const auto fd = open_file(path, O_WRONLY | O_TRUNC);
    ASSERT_TRUE(fd);
    ASSERT_TRUE(write_all(fd->get(), *image, path));
  }

  fs::path directory_;
};

TEST_P(Kdumpfile, ReadsEveryPage) {
  const auto machine = make_machine();
  const auto fd = open_file(save(*machine), O_RDONLY);
  ASSERT_TRUE(fd);
  const KdumpHandle handle(kdump_new());
  ASSERT_TRUE(handle);
  ASSERT_EQ(kdump_open_fd(handle.get(), fd->get()), KDUMP_OK) << kdump_get_err(handle.get());
  for (FrameRange range : machine->layout().frames.ranges())
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
      Page page{};
      std::size_t size = page.size();
      ASSERT_EQ(
          kdump_read(handle.get(), KDUMP_MACHPHYSADDR, address_of(gfn).value, page.data(), &size),
          KDUMP_OK)
          << std::hex << gfn.value << ": " << kdump_get_err(handle.get());
      ASSERT_TRUE(same_page(page, page_of(*machine, gfn))) << std::hex << gfn.value;
    }
}

TEST_P(Kdumpfile, FindsVmcoreinfo) {
  const auto machine = make_machine();
  const auto fd = open_file(save(*machine), O_RDONLY);
  ASSERT_TRUE(fd);
  const KdumpHandle handle(kdump_new());
  ASSERT_EQ(kdump_open_fd(handle.get(), fd->get()), KDUMP_OK) << kdump_get_err(handle.get());
  const char* release = nullptr;
  ASSERT_EQ(kdump_get_string_attr(handle.get(), "linux.vmcoreinfo.lines.OSRELEASE", &release),
            KDUMP_OK)
      << kdump_get_err(handle.get());
  EXPECT_STREQ(release, "6.1.0-test");
}

/// A save that was stopped while it wrote to a pipe, put together as its reader would do it.
class StoppedStream : public testing::TestWithParam<const OutputFormat*> {};

TEST_P(StoppedStream, IsPutTogetherByMakedumpfileAsAnIncompleteDump) {
  if (std::system("command -v makedumpfile >/dev/null") != 0)
    GTEST_SKIP() << "makedumpfile is not installed";
  const auto machine = make_machine();
  const std::string stream = testing::TempDir() + "stopped-stream";
  const std::string whole = testing::TempDir() + "stopped-stream-rearranged";
  {
    std::vector<std::unique_ptr<DumpSink>> sinks;
    sinks.push_back(std::move(
        *open_flattened_sink(*open_file(stream, O_WRONLY | O_CREAT | O_TRUNC, 0600), stream)));
    DumpOptions options;
    options.format = GetParam();
    options.cancelled = [asked = 0]() mutable { return ++asked > 5; };
    auto writer =
        DumpWriter::create(*machine, nullptr, machine->layout().frames, options, std::move(sinks));
    ASSERT_TRUE(writer);
    ASSERT_EQ((*writer)->write_portion((*writer)->next_portion(256_MiB)).error().code(),
              ErrorCode::kCancelled);
  }
  fs::remove(whole);
  const std::string command = "makedumpfile -R '" + whole + "' <'" + stream + "' >/dev/null 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto image = read_file(whole, 1U << 30);
  ASSERT_TRUE(image);
  const auto back = GetParam() == kElf ? read_elf(*image) : read_kdump(*image);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->incomplete);
  EXPECT_GE(back->pages.size(), 150U);
  for (const auto& [gfn, page] : back->pages) ASSERT_TRUE(same_page(page, page_of(*machine, gfn)));
  for (const std::string& path : {stream, whole}) {
    const auto ours = open_vmcore(path);
    ASSERT_TRUE(ours) << ours.error().what();
    EXPECT_TRUE((*ours)->layout().incomplete) << path;
    fs::remove(path);
  }
}

INSTANTIATE_TEST_SUITE_P(All, StoppedStream, testing::Values(kElf, kKdump),
                         [](const auto& which) { return which.param == kElf ? "elf" : "kdump"; });

std::vector<Form> every_form() {
  std::vector<Form> forms{{"elf", kElf, "none", false},
                          {"raw", kKdump, "none", false},
                          {"automatic", kKdump, "auto", false},
                          {"flattened", kKdump, "lzo", true},
                          {"flattened_elf", kElf, "none", true}};
  for (const Codec& codec : codecs())
    forms.push_back({std::string(codec.name), kKdump, std::string(codec.name), false});
  return forms;
}
INSTANTIATE_TEST_SUITE_P(All, Kdumpfile, testing::ValuesIn(every_form()),
                         [](const auto& which) { return which.param.name; });

}  // namespace
}  // namespace hadump
