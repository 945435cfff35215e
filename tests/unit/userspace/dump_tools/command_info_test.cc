// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/command_info.h"

#include <gmock/gmock.h>

#include <sstream>

#include "core/vmcore/elf_notes.h"
#include "tests/unit/core/vmcore/kdump_builder.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

using testing::HasSubstr;

/// Of a kdump-compressed dump of one page.
std::string info_of(const std::string& vmcoreinfo, std::int64_t header_seconds, bool json) {
  KdumpBuilder dump(100);
  dump.add_page(10, 1);
  dump.header.seconds = header_seconds;
  const auto text = std::as_bytes(std::span(vmcoreinfo));
  dump.set_notes(encode_notes({{"VMCOREINFO", 0, {text.begin(), text.end()}}}).bytes);
  std::vector<std::unique_ptr<ByteFile>> files;
  files.push_back(std::make_unique<MemoryFile>(dump.build()));
  const auto source = KdumpVmcoreSource::open(std::move(files));
  EXPECT_TRUE(source);
  std::ostringstream out, err;
  InfoOptions options;
  options.json = json;
  EXPECT_EQ(run_info(options, **source, {out, err, false}), kExitOk);
  return out.str();
}

TEST(Info, SaysWhenTheCrashWas) {
  const std::string with_time = "OSRELEASE=6.1.0\nCRASHTIME=1700000000\n";
  EXPECT_THAT(info_of(with_time, 1600000000, false), HasSubstr("crashed: 2023-11-14T22:13:20Z"));
  EXPECT_THAT(info_of(with_time, 1600000000, true), HasSubstr("\"crash_time\":1700000000"));
}

// makedumpfile writes it there; Linux notes it only on its way to a kexec crash kernel.
TEST(Info, TakesTheTimeFromTheHeaderWhereTheKernelNotedNone) {
  EXPECT_THAT(info_of("OSRELEASE=6.1.0\n", 1600000000, false),
              HasSubstr("crashed: 2020-09-13T12:26:40Z"));
  EXPECT_THAT(info_of("OSRELEASE=6.1.0\n", 1600000000, true),
              HasSubstr("\"crash_time\":1600000000"));
  EXPECT_THAT(info_of("OSRELEASE=6.1.0\n", 0, true), HasSubstr("\"crash_time\":null"));
}

}  // namespace
}  // namespace hadump
