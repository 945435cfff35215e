// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/alias_mode.h"

#include "hv/capture/alias_releaser.h"
#include "hv/capture/capture_facts.h"
#include "hv/capture/capture_run.h"
#include "hv/capture/succession.h"

namespace hadump {
namespace {

class Alias : public CaptureRun {
 public:
  Alias(const CaptureWorld& world, CaptureRecord& record)
      : CaptureRun(world, record), successor_(world, record) {}
  Result<> run();

 private:
  Result<> begin();
  Result<> resume();
  Result<FrameSet> saved_before() const;
  Result<> write_and_give_back();
  Result<> finish(const CaptureTrailer& trailer);

  std::string blueprint_;
  SuccessorMemory successor_;
};

Result<> Alias::run() {
  if (const auto trailer = read_trailer(record_.metadata, record_.dump_id)) return finish(*trailer);
  const bool is_new = record_.state == CaptureState::kExamining;
  if (auto done = is_new ? begin() : resume(); !done) return done;
  if (record_.state == CaptureState::kLeaving) {
    if (auto done = put_successor(world_, record_, blueprint_); !done) return done;
    record_.state = record_.parks ? CaptureState::kKept : CaptureState::kWriting;
    if (auto done = world_.note(record_); !done) return done;
  }
  if (record_.state == CaptureState::kKept) return {};
  if (record_.file.empty())
    if (auto done = describe_again(); !done) return done;
  return write_and_give_back();
}

// All that can fail for good does so here, while nothing has changed.
Result<> Alias::begin() {
  if (auto done = examine(); !done) return done;
  blueprint_ = world_.config.blueprint;
  if (auto room = successor_room(world_, blueprint_); !room) return fail(std::move(room));
  if (!record_.parks)
    if (auto done = write_header_first(true); !done) return done;
  if (auto done = save_findings(blueprint_); !done) return done;
  record_.aside_uuid = new_uuid();
  record_.state = CaptureState::kLeaving;
  return world_.note(record_);
}

Result<> Alias::resume() {
  auto blueprint = load_findings();
  if (!blueprint) return fail(std::move(blueprint));
  blueprint_ = std::move(*blueprint);
  return {};
}

// Memory is cleared before it is given back. A run that was killed between the two has left zeros
// in the domain that look like the guest's; the journal knows them.
Result<FrameSet> Alias::saved_before() const {
  auto saves = earlier_saves();
  if (!saves) return fail(std::move(saves));
  FrameSet saved;
  for (const EarlierSave& save : *saves) saved.insert(save.content.durable);
  return saved;
}

Result<> Alias::write_and_give_back() {
  auto saved = saved_before();
  if (!saved) return fail(std::move(saved));
  auto releaser = AliasReleaser::look(world_.domain.memory(), findings_.facts.survey, *saved);
  if (!releaser) return fail(std::move(releaser));
  releaser->on_release([&](std::uint64_t bytes) {
    record_.given_back_bytes = bytes;
    world_.given_back(bytes);
    successor_.grow_by(bytes);
  });
  auto trailer = write(&*releaser);
  if (!trailer) return fail(std::move(trailer));
  return finish(*trailer);
}

// A dump that lacks what nobody can explain does not end the domain that it may still be in.
Result<> Alias::finish(const CaptureTrailer& trailer) {
  if (trailer.complete) {
    if (auto done = end_predecessor(world_, record_); !done) return done;
    record_.domain_kept = false;
    successor_.grow_to_full();
    forget_facts(world_.state_directory, record_.name);
  }
  return end(trailer);
}

}  // namespace

Result<> alias_domain(const CaptureWorld& world, CaptureRecord& record) {
  return Alias(world, record).run();
}

}  // namespace hadump
