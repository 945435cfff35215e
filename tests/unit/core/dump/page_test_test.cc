// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/page_test.h"

#include <gmock/gmock.h>

#include <random>
#include <vector>

#include "core/base/units.h"

namespace hadump {
namespace {

std::vector<std::byte> text_page() {
  std::vector<std::byte> page(kFrameSize);
  for (std::size_t i = 0; i < page.size(); ++i)
    page[i] = static_cast<std::byte>(
        static_cast<std::size_t>("a kernel's text, more or less: "[i % 31]) + i / 1024);
  return page;
}

std::vector<std::byte> random_page() {
  std::mt19937 random(3);
  std::vector<std::byte> page(kFrameSize);
  for (std::byte& byte : page) byte = static_cast<std::byte>(random());
  return page;
}

TEST(IsZeroPage, SeesEveryByte) {
  std::vector<std::byte> page(kFrameSize);
  EXPECT_TRUE(is_zero_page(page));
  for (std::size_t i : {0U, 1U, 63U, 64U, 2048U, 4095U}) {
    page[i] = std::byte{1};
    EXPECT_FALSE(is_zero_page(page)) << i;
    page[i] = std::byte{0};
  }
}

TEST(LooksIncompressible, TellsNoiseFromText) {
  EXPECT_TRUE(looks_incompressible(random_page()));
  EXPECT_FALSE(looks_incompressible(text_page()));
}

}  // namespace
}  // namespace hadump
