// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/state_directory.h"

#include <fmt/format.h>
#include <signal.h>

#include <cstring>
#include <filesystem>

#include "core/abi/hadump_abi.h"
#include "core/base/directory_entries.h"
#include "core/base/trusted_path.h"
#include "hv/rescue/checksum.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxStateBytes = 1_MiB;
constexpr std::uint64_t kMaxRewriteBytes = 64_MiB;
constexpr const char* kSuccessor = ".successor";
constexpr const char* kCapture = ".capture";
// A crash run writes a record of about 2 KiB a dozen times; a domain's blueprint and a capture's
// record are larger, but no more than kMaxStateBytes.
constexpr std::uint64_t kRecordReserve = 4_MiB;
// A second crash rewrites an ELF header (65,535 pieces of 56 bytes, 3.5 MiB) and a dump node
// (HADUMP_MAX_NODE_SIZE, 2 MiB).
constexpr std::uint64_t kRewriteReserve = 8_MiB;
static_assert(kRewriteReserve > 65'535 * 56 + HADUMP_MAX_NODE_SIZE + 1_MiB);

// The way is looked at each time, and what was looked at is written to.
Result<> write_trusted(const std::string& path, std::span<const std::byte> content) {
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  return hold_trusted(path).and_then(
      [&](const HeldFile& file) { return file.replace_unsynced(text, 0600); });
}

// No error when it is not there. @return whether it was removed.
bool remove_trusted(const std::string& path) {
  return hold_trusted(path)
      .and_then([](const HeldFile& file) { return file.remove(); })
      .has_value();
}

void append(std::vector<std::byte>& out, std::uint64_t offset,
            const std::vector<std::byte>& bytes) {
  const std::uint64_t head[] = {offset, bytes.size()};
  const auto raw = std::as_bytes(std::span(head));
  out.insert(out.end(), raw.begin(), raw.end());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

bool take(std::span<const std::byte>& in, std::uint64_t& offset, std::vector<std::byte>& bytes) {
  std::uint64_t head[2];
  if (in.size() < sizeof(head)) return false;
  std::memcpy(head, in.data(), sizeof(head));
  in = in.subspan(sizeof(head));
  if (head[1] > in.size()) return false;
  offset = head[0];
  bytes.assign(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(head[1]));
  in = in.subspan(head[1]);
  return true;
}

}  // namespace

Result<> StateDirectory::replace_file(const std::string& path, std::span<const std::byte> content,
                                      DiskReserve& reserve) {
  auto done = write_trusted(path, content);
  if (!done && done.error().code() == ErrorCode::kNoSpace && reserve.give(content.size()))
    done = write_trusted(path, content);
  // Also after a failure: what was given up in vain is there for the next one.
  reserve.fill();
  return done;
}

StateDirectory::StateDirectory(const std::string& path, std::string kill_at)
    : path_(std::filesystem::absolute(path)),
      kill_at_(std::move(kill_at)),
      record_reserve_(path_ + "/reserve", kRecordReserve),
      rewrite_reserve_(path_ + "/reserve-rewrite", kRewriteReserve) {}

std::string StateDirectory::file(const std::string& name, const char* suffix) const {
  return fmt::format("{}/domains/{}{}", path_, name, suffix);
}

Result<> StateDirectory::save(const DomainRecord& record) {
  const std::string json = to_json(record);
  auto done =
      replace_file(file(record.uuid, ".json"), std::as_bytes(std::span(json)), record_reserve_);
  // What it has used of the disk may have been the reserve.
  if (done && !record.rewrite_pending && remove_trusted(file(record.uuid, ".rewrite")))
    rewrite_reserve_.fill();
  // Tests show with this that being killed anywhere loses nothing.
  if (done && !kill_at_.empty() && kill_at_ == to_string(record.step)) raise(SIGKILL);
  return done;
}

Result<> StateDirectory::save_rewrite(const DomainRecord& record, const SnapshotRewrite& rewrite) {
  std::vector<std::byte> bytes;
  append(bytes, rewrite.elf_header_offset, rewrite.elf_header);
  append(bytes, rewrite.node_offset, rewrite.node);
  append(bytes, 0, rewrite.header);
  return replace_file(file(record.uuid, ".rewrite"), bytes, rewrite_reserve_);
}

Result<SnapshotRewrite> StateDirectory::load_rewrite(const DomainRecord& record) {
  const std::string path = file(record.uuid, ".rewrite");
  auto text = read_trusted_text_file(path, kMaxRewriteBytes);
  if (!text) return fail(std::move(text));
  SnapshotRewrite rewrite;
  std::span<const std::byte> rest = std::as_bytes(std::span(*text));
  std::uint64_t zero = 0;
  if (!take(rest, rewrite.elf_header_offset, rewrite.elf_header) ||
      !take(rest, rewrite.node_offset, rewrite.node) || !take(rest, zero, rewrite.header) ||
      !rest.empty())
    return fail(ErrorCode::kBadData, path + " is damaged");
  return rewrite;
}

Result<std::vector<DomainRecord>> StateDirectory::load_all(std::vector<std::string>& complaints) {
  const std::string directory = path_ + "/domains";
  if (auto made = make_own_directory(directory); !made) return fail(std::move(made));
  record_reserve_.fill();
  rewrite_reserve_.fill();
  std::vector<DomainRecord> records;
  auto read = for_each_entry(directory, [&](const std::filesystem::directory_entry& entry) {
    // Of an agent that was killed.
    if (entry.path().extension() == ".tmp") static_cast<void>(remove_trusted(entry.path()));
    if (entry.path().extension() != ".json") return;
    auto record = read_trusted_text_file(entry.path(), kMaxStateBytes).and_then(parse_record);
    if (record)
      records.push_back(std::move(*record));
    else
      complaints.push_back(fmt::format("{}: {}", entry.path().string(), record.error().what()));
  });
  if (!read) return fail(std::move(read));
  return records;
}

Result<> StateDirectory::save_successor(const std::string& uuid, const std::string& blueprint) {
  return replace_file(file(uuid, kSuccessor), std::as_bytes(std::span(blueprint)), record_reserve_);
}

void StateDirectory::forget_successor(const std::string& uuid) {
  // A file that stays is found by the next agent, which sees that the domain is there.
  static_cast<void>(remove_trusted(file(uuid, kSuccessor)));
}

Result<std::map<std::string, std::string>> StateDirectory::successors(
    std::vector<std::string>& complaints) const {
  return texts(kSuccessor, complaints);
}

Result<std::map<std::string, std::string>> StateDirectory::texts(
    const char* suffix, std::vector<std::string>& complaints) const {
  std::map<std::string, std::string> found;
  auto read =
      for_each_entry(path_ + "/domains", [&](const std::filesystem::directory_entry& entry) {
        if (entry.path().extension() != suffix) return;
        auto text = read_trusted_text_file(entry.path(), kMaxStateBytes);
        if (text)
          found.emplace(entry.path().stem(), std::move(*text));
        else
          complaints.push_back(text.error().what());
      });
  if (!read) return fail(std::move(read));
  return found;
}

Result<> StateDirectory::save_capture(const CaptureRecord& record) {
  const std::string json = to_json(record);
  auto done =
      replace_file(file(record.name, kCapture), std::as_bytes(std::span(json)), record_reserve_);
  if (done && !kill_at_.empty() && kill_at_ == fmt::format("capture-{}", to_string(record.state)))
    raise(SIGKILL);
  return done;
}

void StateDirectory::passed(const std::string& step) const {
  if (!kill_at_.empty() && kill_at_ == step) raise(SIGKILL);
}

void StateDirectory::forget_capture(const std::string& name) {
  // A file that stays is forgotten another time.
  static_cast<void>(remove_trusted(file(name, kCapture)));
}

Result<std::map<std::string, std::string>> StateDirectory::captures(
    std::vector<std::string>& complaints) const {
  return texts(kCapture, complaints);
}

void StateDirectory::forget(const std::string& uuid) {
  // A file that stays is forgotten at the next start, since its domain is gone.
  static_cast<void>(remove_trusted(file(uuid, ".json")));
  static_cast<void>(remove_trusted(file(uuid, ".rewrite")));
}

}  // namespace hadump
