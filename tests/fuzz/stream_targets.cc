// SPDX-License-Identifier: GPL-2.0-or-later
// A stream: what a guest says to the host, and what the host answers.
#include <algorithm>

#include "core/stream/receiver.h"
#include "core/stream/replies.h"
#include "tests/fakes/stream/memory_store.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/core/stream/stream_bytes.h"

namespace hadump {
namespace {

constexpr std::uint64_t kRoom = 4_MiB;

/// The first byte says how the rest is cut.
void receive(std::span<const std::byte> input) {
  if (input.empty()) return;
  const std::size_t piece = 1 + std::to_integer<std::size_t>(input[0]) * 16;
  MemoryStore store;
  store.room = kRoom;
  StreamReceiver receiver(store);
  StreamReplies replies;
  bool fine = true;
  std::uint64_t durable = 0;
  for (auto rest = input.subspan(1); !rest.empty();) {
    const std::size_t size = std::min(piece, rest.size());
    receiver.feed(rest.first(size));
    rest = rest.subspan(size);
    // The guest's side understands every answer, and is told of nothing that is not durable.
    const auto heard = replies.feed(receiver.replies(), receiver.received());
    receiver.replies().clear();
    fuzz_require(fine || !heard, "an error is the last word");
    fine = fine && heard.has_value();
    fuzz_require(replies.durable() <= store.durable(), "what is acknowledged is durable");
    fuzz_require(replies.durable() >= durable, "what is acknowledged stays so");
    durable = replies.durable();
  }
  fuzz_require(store.written().size() == receiver.received(), "all that came was written");
  fuzz_require(receiver.received() <= input.size(), "nothing was made up");
  fuzz_require(!store.is_open() || check_stream_name(store.name()).has_value(),
               "a file has a name that is allowed");
  fuzz_require(store.is_published() == replies.is_done(), "done means that the file has its name");
  fuzz_require(!store.is_published() || store.durable() == store.written().size(),
               "a file that has its name is durable");
  fuzz_require(receiver.is_over() || fine, "a stream with an error is over");
}

std::vector<std::byte> cut(unsigned char how, const GuestWords& words) {
  std::vector<std::byte> input{std::byte{how}};
  input.insert(input.end(), words.bytes().begin(), words.bytes().end());
  return input;
}

std::vector<std::vector<std::byte>> receive_seeds() {
  GuestWords whole;
  whole.open("vmcore").data(random_bytes(300)).say(StreamMessage::kSync);
  whole.data(random_bytes(500)).say(StreamMessage::kEnd);
  GuestWords nameless;
  nameless.open("").say(StreamMessage::kEnd);
  return {cut(0, whole),
          cut(255, whole),
          cut(3, nameless),
          cut(9, GuestWords().open("../../etc/passwd")),
          cut(255, GuestWords().open("a").header(2, ~0U, 0)),
          cut(255, GuestWords().open("a").data(random_bytes(9)).header(4, 0, ~0ULL))};
}

/// What the host says, with 1000 bytes sent.
void reply(std::span<const std::byte> input) {
  constexpr std::uint64_t kSent = 1000;
  StreamReplies whole, pieces;
  const auto first = whole.feed(input, kSent);
  fuzz_require(whole.durable() <= kSent, "no more is durable than was sent");
  fuzz_require(!whole.is_done() || whole.durable() == kSent, "done means all of it");
  fuzz_require(whole.file().size() <= kMaxStreamFile, "a name has its limit");
  Result<> last;
  for (const std::byte& byte : input) last = pieces.feed(std::span(&byte, 1), kSent);
  fuzz_require(first.has_value() == last.has_value() && whole.durable() == pieces.durable() &&
                   whole.is_done() == pieces.is_done(),
               "how the bytes are cut does not matter");
}

std::vector<std::vector<std::byte>> reply_seeds() {
  const std::string name = "vmcore";
  std::vector<std::byte> done, refused;
  put_stream_message(done, StreamMessage::kAccept, kRoom, std::as_bytes(std::span(name)));
  refused = done;
  put_stream_message(done, StreamMessage::kAck, 10);
  put_stream_message(done, StreamMessage::kDone, 1000);
  put_stream_error(refused, StreamRefusal::kNoRoom, 10, "the quota is used up");
  return {done, refused};
}

}  // namespace

const FuzzTarget kFuzzStream = {"stream", receive, receive_seeds};
const FuzzTarget kFuzzStreamReplies = {"stream_replies", reply, reply_seeds};

}  // namespace hadump
