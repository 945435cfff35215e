// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace hadump {
namespace {

TEST(Error, KeepsTheErrnoAndSaysWhatWasDone) {
  const Error error = Error::os(EACCES, "opening x");
  EXPECT_EQ(error.code(), ErrorCode::kOs);
  EXPECT_EQ(error.os_errno(), EACCES);
  EXPECT_EQ(error.what(), "opening x: Permission denied");
}

TEST(Error, AFullDiskHasItsOwnCode) {
  EXPECT_EQ(Error::os(ENOSPC, "w").code(), ErrorCode::kNoSpace);
  EXPECT_EQ(Error::os(EDQUOT, "w").code(), ErrorCode::kNoSpace);
}

TEST(Error, ContextIsPrepended) {
  EXPECT_EQ(Error(ErrorCode::kBadData, "odd").during("b").during("a").what(), "a: b: odd");
}

}  // namespace
}  // namespace hadump
