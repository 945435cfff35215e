// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/preparer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <utility>

#include "core/base/file.h"
#include "hv/domain/pvh_guest.h"
#include "tests/fakes/boot_file_samples.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

// A host without Xen: the ACPI tables are there already.
class PreparerTest : public testing::Test {
 protected:
  PreparerTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hadump-XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(directory + "/cache");
    write("acpi-key", sample_acpi_tables().bytes);
    write("vmlinux", sample_kernel());
    config.name = "guest";
    config.kind = &kPvhGuest;
    config.memory_bytes = 512_MiB;
    config.kernel = directory + "/vmlinux";
    config.acpi_key = "key";
  }
  ~PreparerTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  void write(const std::string& name, const std::vector<std::byte>& bytes) const {
    std::ofstream file(directory + "/" + name);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  // The name that an unpacked copy of the file would have, with a copy there.
  std::string cached(const std::string& name) const {
    struct stat info {};
    EXPECT_EQ(stat((directory + "/" + name).c_str(), &info), 0);
    const std::string copy = fmt::format("kernel-{:x}-{:x}-{:x}-{}.{:09}", info.st_dev, info.st_ino,
                                         info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    write("cache/" + copy, {});
    return copy;
  }
  std::vector<std::string> cache() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/cache"))
      names.push_back(entry.path().filename());
    return names;
  }

  std::string directory;
  DomainConfig config;
  static Result<AcpiTables> no_tables(unsigned) {
    return fail(ErrorCode::kUnsupported, "no Xen here");
  }
};

TEST_F(PreparerTest, KeepsTheKernelsOfTheDomainsThatAreThere) {
  write("used", {});
  write("unused", std::vector<std::byte>(1));
  const std::string used = cached("used");
  const std::string unused = cached("unused");
  write("cache/kernel-cut-short.123.tmp", {});
  write("cache/other", {});
  const std::vector<std::string> kernels = {directory + "/used", directory + "/vmlinux",
                                            directory + "/gone"};

  const auto removed = prune_kernel_cache(directory + "/cache", kernels);

  EXPECT_THAT(removed, testing::UnorderedElementsAre(unused, "kernel-cut-short.123.tmp"));
  EXPECT_THAT(cache(), testing::UnorderedElementsAre(used, "other"));
  EXPECT_THAT(prune_kernel_cache(directory + "/nothing", kernels), IsEmpty());
}

// Whoever can write it would choose what the guest boots.
TEST_F(PreparerTest, AnUnpackedKernelThatOthersCanWriteIsNotBooted) {
  write("packed", std::vector<std::byte>(8));
  const std::string copy = "cache/" + cached("packed");
  write(copy, std::vector<std::byte>(3));
  const auto kernel = [&] {
    BootFileCache files({directory + "/packed", "", directory + "/cache", directory}, "",
                        [] { return no_tables(0); });
    return files.kernel().map([](std::span<const std::byte> bytes) { return bytes.size(); });
  };
  const auto ours = kernel();
  ASSERT_TRUE(ours) << ours.error().what();
  EXPECT_EQ(*ours, 3U);
  std::filesystem::permissions(directory + "/" + copy, std::filesystem::perms(0666));
  EXPECT_FALSE(kernel()) << "the file itself is no bzImage that could be unpacked again";
}

TEST_F(PreparerTest, SaysBeforeACrashWhatWouldFailThen) {
  write("initrd", {});
  std::filesystem::resize_file(directory + "/initrd", 200_MiB);
  DomainConfig large = config;
  large.ramdisk = directory + "/initrd";
  write("old", {});
  static_cast<void>(cached("old"));
  std::vector<std::string> lines;
  {
    Preparer preparer({directory + "/cache", directory}, no_tables,
                      [&](const std::string& line) { lines.push_back(line); });
    preparer.prepare(5, config, {128_MiB});
    preparer.prepare(6, large, {128_MiB});
    preparer.prepare(7, large, {128_MiB});
    preparer.keep_only({{5, config.kernel}, {7, large.kernel}});
    for (int i = 0; i < 1000 && !cache().empty(); ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(preparer.trouble(5), "");
    EXPECT_EQ(preparer.trouble(6), "") << "a domain that is gone";
    EXPECT_THAT(preparer.trouble(7), HasSubstr("`window =` must be at least 256 MiB"));
    preparer.prepare(7, large, {256_MiB});
    EXPECT_EQ(preparer.trouble(7), "");
  }
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[1], HasSubstr("domain 7 (guest)"));
  EXPECT_THAT(cache(), IsEmpty());
}

// libxl does not come back from making the tables of domain 5, until it is told to.
class HungLibxlTest : public PreparerTest {
 protected:
  HungLibxlTest() {
    hung.acpi_key = "hung";
    preparer.prepare(5, hung, {128_MiB});
    begun.get_future().wait();
  }
  ~HungLibxlTest() override { release(); }
  void release() {
    if (!std::exchange(is_released, true)) released.set_value();
  }

  DomainConfig hung = config;
  std::promise<void> begun;
  std::promise<void> released;
  bool is_released = false;
  Preparer preparer{{directory + "/cache", directory},
                    [this](unsigned) {
                      begun.set_value();
                      released.get_future().wait();
                      return Result<AcpiTables>(sample_acpi_tables());
                    },
                    [](const std::string&) {}};
};

TEST_F(HungLibxlTest, KeepsNoOtherDomainWaiting) {
  BootFileCache files = preparer.files(6, config, 1h);

  EXPECT_TRUE(files.kernel());
  EXPECT_TRUE(files.acpi_tables());
}

TEST_F(HungLibxlTest, IsWaitedForButNotForEver) {
  BootFileCache early = preparer.files(5, hung, 1ms);

  EXPECT_TRUE(early.kernel()) << "the kernel needs no unpacking";
  const auto tables = early.acpi_tables();
  ASSERT_FALSE(tables);
  EXPECT_EQ(tables.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(tables.error().what(), HasSubstr("libxl is slow or hanging"));

  release();
  EXPECT_TRUE(preparer.files(5, hung, 1h).acpi_tables());
}

TEST_F(PreparerTest, WhyTablesCouldNotBeMadeIsSaidAtTheCrash) {
  config.acpi_key = "another";
  Preparer preparer({directory + "/cache", directory}, no_tables, [](const std::string&) {});

  const auto tables = preparer.files(5, config, 1h).acpi_tables();

  ASSERT_FALSE(tables);
  EXPECT_THAT(tables.error().what(), HasSubstr("no Xen here"));
}

// As in a run directory that is full or read-only.
TEST_F(PreparerTest, TablesThatCannotBeKeptInAFileAreUsedAllTheSame) {
  config.acpi_key = "in/the/way";
  Preparer preparer(
      {directory + "/cache", directory},
      [](unsigned) { return Result<AcpiTables>(sample_acpi_tables()); }, [](const std::string&) {});

  EXPECT_TRUE(preparer.files(5, config, 1h).acpi_tables());
}

}  // namespace
}  // namespace hadump
