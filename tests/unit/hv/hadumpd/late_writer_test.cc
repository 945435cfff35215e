// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/late_writer.h"

#include <gmock/gmock.h>

#include <future>
#include <new>
#include <string>
#include <vector>

namespace hadump {
namespace {

using testing::ElementsAre;

class LateWriterTest : public testing::Test {
 protected:
  /// The writer stands still until release().
  void block() {
    std::promise<void> begun;
    auto has_begun = begun.get_future();
    writer->soon("first", [this, &begun] {
      begun.set_value();
      go_.get_future().wait();
    });
    has_begun.wait();
  }
  void release() { go_.set_value(); }
  void write(const std::string& key, const std::string& text) {
    writer->soon(key, [this, text] { written.push_back(text); });
  }

  StallWatch stalls{[](const std::string&) {}};
  std::vector<std::string> written;  ///< by the writer's thread; read after settle()
  std::promise<void> go_;
  std::optional<LateWriter> writer{std::in_place, stalls};
};

TEST_F(LateWriterTest, NobodyWaitsForIt) {
  block();
  write("a", "1");
  EXPECT_THAT(written, ElementsAre());
  release();
  writer->settle();
  EXPECT_THAT(written, ElementsAre("1"));
}

TEST_F(LateWriterTest, WritesInOrderAndTheNewestOfEachKeyOnly) {
  block();
  write("b", "1");
  write("a", "2");
  write("b", "3");
  release();
  writer->settle();
  EXPECT_THAT(written, ElementsAre("3", "2"));
}

TEST_F(LateWriterTest, WritesEverythingBeforeItEnds) {
  block();
  write("a", "1");
  write("b", "2");
  release();
  writer.reset();
  EXPECT_THAT(written, ElementsAre("1", "2"));
}

TEST_F(LateWriterTest, WithoutMemoryItTriesAgain) {
  int tries = 0;
  writer->soon("a", [&] {
    if (++tries == 1) throw std::bad_alloc();
  });
  writer->settle();
  EXPECT_EQ(tries, 2);
}

// Ends, at the latest, with the thing that it could not write.
TEST_F(LateWriterTest, WithoutMemoryAtTheEndItGivesUp) {
  writer->soon("a", [] { throw std::bad_alloc(); });
  writer.reset();
}

}  // namespace
}  // namespace hadump
