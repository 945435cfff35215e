// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/log_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace hadump {
namespace {

// kernel/printk/printk_ringbuffer.h
constexpr std::uint64_t kStateShift = 62;
constexpr std::uint64_t kIdMask = (std::uint64_t{1} << kStateShift) - 1;
constexpr std::uint64_t kCommitted = 1, kFinalized = 2;

// Today's have at most 100.
constexpr std::uint64_t kMaxStructBytes = 512;

/// Offsets and sizes of the ring's structures.
struct RingFormat {
  std::uint64_t ring_bytes, desc_ring, text_ring;
  std::uint64_t count_bits, descs, infos, head_id, tail_id;
  std::uint64_t desc_bytes, state, lpos_begin, lpos_next;
  std::uint64_t info_bytes, timestamp, text_length;
  std::uint64_t size_bits, data;
};

/// Takes VMCOREINFO's numbers one by one and remembers the first one that is missing or absurd.
class Keys {
 public:
  explicit Keys(const Vmcoreinfo& info) : info_(info) {}

  std::uint64_t size(std::string_view name) { return check("SIZE", name, info_.size(name)); }
  std::uint64_t offset(std::string_view name) { return check("OFFSET", name, info_.offset(name)); }
  const std::string& trouble() const { return trouble_; }

 private:
  std::uint64_t check(std::string_view kind, std::string_view name,
                      std::optional<std::uint64_t> value) {
    if (value && *value <= kMaxStructBytes) return *value;
    if (trouble_.empty()) trouble_ = fmt::format("VMCOREINFO has no usable {}({})", kind, name);
    return 0;
  }

  const Vmcoreinfo& info_;
  std::string trouble_;
};

Result<RingFormat> ring_format(const Vmcoreinfo& info) {
  Keys keys(info);
  RingFormat f{};
  const std::uint64_t counter = keys.offset("atomic_long_t.counter");
  f.ring_bytes = keys.size("printk_ringbuffer");
  f.desc_ring = keys.offset("printk_ringbuffer.desc_ring");
  f.text_ring = keys.offset("printk_ringbuffer.text_data_ring");
  f.count_bits = f.desc_ring + keys.offset("prb_desc_ring.count_bits");
  f.descs = f.desc_ring + keys.offset("prb_desc_ring.descs");
  f.infos = f.desc_ring + keys.offset("prb_desc_ring.infos");
  f.head_id = f.desc_ring + keys.offset("prb_desc_ring.head_id") + counter;
  f.tail_id = f.desc_ring + keys.offset("prb_desc_ring.tail_id") + counter;
  f.desc_bytes = keys.size("prb_desc");
  f.state = keys.offset("prb_desc.state_var") + counter;
  const std::uint64_t lpos = keys.offset("prb_desc.text_blk_lpos");
  f.lpos_begin = lpos + keys.offset("prb_data_blk_lpos.begin");
  f.lpos_next = lpos + keys.offset("prb_data_blk_lpos.next");
  f.info_bytes = keys.size("printk_info");
  f.timestamp = keys.offset("printk_info.ts_nsec");
  f.text_length = keys.offset("printk_info.text_len");
  f.size_bits = f.text_ring + keys.offset("prb_data_ring.size_bits");
  f.data = f.text_ring + keys.offset("prb_data_ring.data");
  if (!keys.trouble().empty()) return fail(ErrorCode::kNotFound, keys.trouble());
  const auto inside = [](std::uint64_t offset, std::uint64_t bytes, std::uint64_t size) {
    return bytes <= size && offset <= size - bytes;
  };
  bool good = true;
  for (const std::uint64_t pointer : {f.descs, f.infos, f.head_id, f.tail_id, f.data})
    good = good && inside(pointer, 8, f.ring_bytes);
  good = good && inside(f.count_bits, 4, f.ring_bytes) && inside(f.size_bits, 4, f.ring_bytes);
  for (const std::uint64_t member : {f.state, f.lpos_begin, f.lpos_next})
    good = good && inside(member, 8, f.desc_bytes);
  good = good && inside(f.timestamp, 8, f.info_bytes) && inside(f.text_length, 2, f.info_bytes);
  if (!good) return fail(ErrorCode::kBadData, "VMCOREINFO's printk ring contradicts itself");
  return f;
}

template <typename T>
T load(std::span<const std::byte> bytes, std::uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// An array of the crashed kernel, of which a page at a time is here: what the ring claims to have
/// may be far more than what a save may take.
class Array {
 public:
  Array(const AddressSpace& space, std::uint64_t at, std::uint64_t bytes, const char* name)
      : space_(&space), at_(at), bytes_(bytes), name_(name) {}

  std::uint64_t bytes() const { return bytes_; }

  /// @pre offset + out.size() <= bytes()
  Result<> read(std::uint64_t offset, std::span<std::byte> out) {
    while (!out.empty()) {
      const std::uint64_t at = at_ + offset, skip = at % kFrameSize;
      if (auto held = hold(at - skip); !held) return fail(std::move(held), name_);
      const std::size_t part = std::min<std::size_t>(out.size(), kFrameSize - skip);
      std::memcpy(out.data(), page_.data() + skip, part);
      out = out.subspan(part);
      offset += part;
    }
    return {};
  }

 private:
  Result<> hold(std::uint64_t page) {
    if (held_ == page) return {};
    held_.reset();
    if (auto r = space_->read(GuestVirt{page}, page_); !r) return r;
    held_ = page;
    return {};
  }

  const AddressSpace* space_;
  std::uint64_t at_;
  std::uint64_t bytes_;
  const char* name_;
  std::optional<std::uint64_t> held_;  ///< Address of what is in `page_`.
  std::array<std::byte, kFrameSize> page_{};
};

}  // namespace

/// The ring in the dump.
struct LogRing::Ring {
  RingFormat format;
  std::uint64_t count = 0;  ///< Descriptors, a power of 2.
  std::uint64_t head_id = 0, tail_id = 0;
  Array descs, infos, text;
};

Result<std::unique_ptr<LogRing::Ring>> LogRing::read_ring(const AddressSpace& space,
                                                          const Vmcoreinfo& info,
                                                          GuestVirt symbol) {
  const auto read_format = ring_format(info);
  if (!read_format) return fail(Result<RingFormat>(read_format));
  const RingFormat& format = *read_format;
  auto address = space.read_value<std::uint64_t>(symbol);
  if (!address) return fail(std::move(address));
  std::vector<std::byte> top(format.ring_bytes);
  if (auto r = space.read(GuestVirt{*address}, top); !r) return fail(std::move(r));
  const auto count_bits = load<std::uint32_t>(top, format.count_bits);
  const auto size_bits = load<std::uint32_t>(top, format.size_bits);
  if (count_bits >= 32 || (std::uint64_t{1} << count_bits) > kMaxLogRecords || size_bits >= 32 ||
      (std::uint64_t{1} << size_bits) > kMaxLogTextBytes)
    return fail(ErrorCode::kBadData,
                fmt::format("2^{} records, 2^{} bytes of text", count_bits, size_bits));
  const std::uint64_t count = std::uint64_t{1} << count_bits;
  const auto array = [&](std::uint64_t pointer_at, std::uint64_t bytes, const char* name) {
    return Array(space, load<std::uint64_t>(top, pointer_at), bytes, name);
  };
  return std::unique_ptr<Ring>(
      new Ring{format, count, load<std::uint64_t>(top, format.head_id) & kIdMask,
               load<std::uint64_t>(top, format.tail_id) & kIdMask,
               array(format.descs, count * format.desc_bytes, "descriptors"),
               array(format.infos, count * format.info_bytes, "records"),
               array(format.data, std::uint64_t{1} << size_bits, "text")});
}

/// The record's text, empty when it has none (any more).
Result<std::string> LogRing::text_of(std::uint64_t id, std::span<const std::byte> info) {
  Ring& ring = *ring_;
  std::array<std::byte, kMaxStructBytes> buffer;
  const auto desc = std::span(buffer).first(ring.format.desc_bytes);
  if (auto r = ring.descs.read((id % ring.count) * desc.size(), desc); !r)
    return fail(std::move(r));
  const auto state_var = load<std::uint64_t>(desc, ring.format.state);
  const std::uint64_t state = state_var >> kStateShift;
  if ((state_var & kIdMask) != id || (state != kCommitted && state != kFinalized)) return {};
  std::uint64_t begin = load<std::uint64_t>(desc, ring.format.lpos_begin) % ring.text.bytes();
  const std::uint64_t next = load<std::uint64_t>(desc, ring.format.lpos_next) % ring.text.bytes();
  if (begin == next) return {};    // without data
  if (begin > next) begin = 0;     // a block that would wrap lies at the beginning
  begin += sizeof(std::uint64_t);  // the block's id
  if (begin >= next) return {};
  std::string text(
      std::min<std::uint64_t>(load<std::uint16_t>(info, ring.format.text_length), next - begin),
      '\0');
  if (auto r = ring.text.read(begin, std::as_writable_bytes(std::span(text))); !r)
    return fail(std::move(r));
  return text;
}

LogRing::LogRing(std::unique_ptr<Ring> ring) : ring_(std::move(ring)) {}
LogRing::LogRing(LogRing&&) noexcept = default;
LogRing::~LogRing() = default;

Result<LogRing> LogRing::open(const AddressSpace& space, const Vmcoreinfo& info) {
  const auto symbol = info.symbol("prb");
  if (!symbol) return fail(ErrorCode::kNotFound, "VMCOREINFO has no SYMBOL(prb)");
  auto ring = read_ring(space, info, *symbol);
  if (!ring) return fail(std::move(ring), "reading the printk ring");
  return LogRing(std::move(*ring));
}

/// From tail to head; one turn when the head is not on the way.
std::uint64_t LogRing::records() const {
  return std::min(((ring_->head_id - ring_->tail_id) & kIdMask) + 1, ring_->count);
}

Result<LogRecord> LogRing::record(std::uint64_t index) {
  const std::uint64_t id = (ring_->tail_id + index) & kIdMask;
  std::array<std::byte, kMaxStructBytes> buffer;
  const auto info = std::span(buffer).first(ring_->format.info_bytes);
  if (auto r = ring_->infos.read((id % ring_->count) * info.size(), info); !r)
    return fail(std::move(r), "reading the printk ring");
  auto text = text_of(id, info);
  if (!text) return fail(std::move(text), "reading the printk ring");
  return LogRecord{load<std::uint64_t>(info, ring_->format.timestamp), std::move(*text)};
}

}  // namespace hadump
