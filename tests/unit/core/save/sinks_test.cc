// SPDX-License-Identifier: GPL-2.0-or-later
// Going on with a partial file in place, waiting for a peer, and putting parts together.
#include <gmock/gmock.h>

#include <map>
#include <random>
#include <thread>

#include "core/base/file.h"
#include "core/save/acked_sink.h"
#include "core/save/adopting_sink.h"
#include "core/save/merged_vmcore.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

class Adopting : public testing::Test {
 protected:
  std::unique_ptr<AdoptingSink> adopt(const std::string& content) {
    EXPECT_TRUE(write_file_atomically(partial_, content, 0600));
    auto inner = reopen_file_sink("f-incomplete", dir_.held("f"));
    EXPECT_TRUE(inner);
    return std::move(*AdoptingSink::open(std::move(*inner), dir_.held("f-incomplete")));
  }
  std::string content() { return *read_text_file(partial_, 1 << 20); }

  TemporaryDirectory dir_;
  std::string partial_ = dir_ / "f-incomplete";
};

TEST_F(Adopting, AcceptsTheSameAndRefusesAnythingElse) {
  auto sink = adopt("headABCDEFGH");
  EXPECT_TRUE(sink->write_data(4, bytes_of("ABCD")));
  const auto other = sink->write_data(8, bytes_of("EFxH"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), ErrorCode::kBadData);
  EXPECT_EQ(content(), "headABCDEFGH");
}

TEST_F(Adopting, ChangesNothingBeforeCommit) {
  auto sink = adopt("headABCD");
  EXPECT_TRUE(sink->write_table(0, bytes_of("HEAD")));
  EXPECT_TRUE(sink->make_durable());
  EXPECT_EQ(content(), "headABCD");
  EXPECT_TRUE(sink->write_data(4, bytes_of("ABCD")));
  EXPECT_TRUE(sink->commit());
  EXPECT_EQ(content(), "HEADABCD");
}

TEST_F(Adopting, CutsAnUnfinishedPortionOff) {
  auto sink = adopt("headABCDgarbage");
  EXPECT_TRUE(sink->write_data(4, bytes_of("ABCD")));
  EXPECT_TRUE(sink->commit());
  EXPECT_EQ(content(), "headABCD");
  EXPECT_TRUE(sink->write_data(8, bytes_of("EFGH")));
  EXPECT_TRUE(sink->make_durable());
  EXPECT_EQ(content(), "headABCDEFGH");
}

// Whatever is written to the tables, in whatever order: after commit() the file has the newest.
TEST_F(Adopting, CommitsTheNewestTables) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::string expected(3000, 'x');
    auto sink = adopt(expected);
    for (int i = 0; i < 30; ++i) {
      const std::size_t at = random() % 2900;
      std::string table(1 + random() % (expected.size() - at), 'x');
      for (char& c : table)
        if (random() % 8 == 0) c = 'a';
      if (random() % 3 == 0) table.assign(table.size(), 'x');
      expected.replace(at, table.size(), table);
      ASSERT_TRUE(sink->write_table(at, bytes_of(table)));
    }
    ASSERT_TRUE(sink->commit());
    ASSERT_EQ(content(), expected);
  }
}

class NullSink : public DumpSink {
 public:
  bool can_rewrite() const override { return false; }
  Result<> write_data(std::uint64_t, std::span<const std::byte>) override { return {}; }
  Result<> write_table(std::uint64_t, std::span<const std::byte>) override { return {}; }
  Result<> make_durable() override { return fail(ErrorCode::kUnsupported, "null"); }
  Result<> publish(std::uint64_t) override { return {}; }
  std::string location() const override { return "null"; }
};

// 4096 bytes of header, 16 bytes of record header, 4 of data.
constexpr const char* kAllAcked = "ack 4116\n";

Result<> durable_after(const std::string& peer_says, bool peer_leaves) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  UniqueFd peer(ends[1]);
  AckedSink sink(std::make_unique<NullSink>(), UniqueFd(ends[0]), {});
  EXPECT_TRUE(sink.write_data(0, bytes_of("ABCD")));
  EXPECT_TRUE(write_all(peer.get(), bytes_of(peer_says), "pipe"));
  if (peer_leaves) peer.reset();
  return sink.make_durable();
}

TEST(AckedSink, IsDurableWhenThePeerSaysSo) {
  EXPECT_TRUE(durable_after(kAllAcked, false));
  EXPECT_TRUE(durable_after("ack 10\nack 4000\nack 4116\n", false));
}

TEST(AckedSink, IsNotWhenThePeerSaysLessOrNonsense) {
  EXPECT_FALSE(durable_after("ack 4115\n", true));
  EXPECT_FALSE(durable_after("", true));
  EXPECT_FALSE(durable_after("ack 4117\n", false));
  EXPECT_FALSE(durable_after("ack 10\nack 9\n", false));
  EXPECT_FALSE(durable_after("yes\n", false));
  EXPECT_FALSE(durable_after("ack " + std::string(100, '0'), false));
  EXPECT_FALSE(durable_after(std::string(100, 'a'), false));
}

TEST(MergedVmcore, TakesEachFrameFromTheFirstPartThatHasIt) {
  FakeMachine first(1, 1, 2);
  FakeMachine second(2, 1, 2);
  std::vector<MergedVmcore::Part> parts;
  parts.push_back({first.vmcore(), {{Gfn{10}, Gfn{20}}}});
  parts.push_back({second.vmcore(), {{Gfn{0}, Gfn{15}}, {Gfn{30}, Gfn{40}}}});
  const MergedVmcore merged(std::move(parts));
  EXPECT_EQ(merged.layout().frames, (FrameSet{{Gfn{0}, Gfn{20}}, {Gfn{30}, Gfn{40}}}));

  std::vector<std::byte> found(45 * kFrameSize);
  std::vector<FrameStatus> status(45);
  ASSERT_TRUE(merged.read(Gfn{0}, found, status));
  std::vector<std::byte> truth(kFrameSize);
  for (std::uint64_t i = 0; i < 45; ++i) {
    const bool present = i < 20 || (i >= 30 && i < 40);
    EXPECT_EQ(status[i], present ? FrameStatus::kRead : FrameStatus::kAbsent) << i;
    if (!present) continue;
    (i >= 10 && i < 20 ? first : second).truth(Gfn{i}, truth);
    EXPECT_TRUE(std::equal(truth.begin(), truth.end(),
                           found.begin() + static_cast<std::ptrdiff_t>(i * kFrameSize)))
        << i;
    auto view = merged.map({Gfn{i}, Gfn{45}});
    ASSERT_TRUE(view);
    EXPECT_TRUE(std::equal(truth.begin(), truth.end(), view->bytes().begin())) << i;
  }
  EXPECT_EQ(merged.map({Gfn{25}, Gfn{26}}).error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace hadump
