#include "core/vmcore/kernel_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/base/printable.h"

namespace hadump {
namespace {

// kernel/printk/printk_ringbuffer.h
constexpr std::uint64_t kStateShift = 62;
constexpr std::uint64_t kIdMask = (std::uint64_t{1} << kStateShift) - 1;
constexpr std::uint64_t kCommitted = 1, kFinalized = 2;

constexpr std::uint64_t kMaxStructBytes = 4096;

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

/// The ring, read out of the dump.
struct Ring {
  RingFormat format;
  std::uint64_t count = 0;  ///< Descriptors, a power of 2.
  std::uint64_t head_id = 0, tail_id = 0;
  std::vector<std::byte> descs, infos, text;
};

Result<std::vector<std::byte>> read_array(const AddressSpace& space, std::uint64_t at,
                                          std::uint64_t bytes) {
  std::vector<std::byte> array(bytes);
  if (auto r = space.read(GuestVirt{at}, array); !r) return fail(std::move(r));
  return array;
}

Result<Ring> read_ring(const AddressSpace& space, const RingFormat& format, GuestVirt symbol) {
  auto address = space.read_value<std::uint64_t>(symbol);
  if (!address) return fail(std::move(address));
  auto top = read_array(space, *address, format.ring_bytes);
  if (!top) return fail(std::move(top));
  const auto count_bits = load<std::uint32_t>(*top, format.count_bits);
  const auto size_bits = load<std::uint32_t>(*top, format.size_bits);
  if (count_bits >= 32 || (std::uint64_t{1} << count_bits) > kMaxLogRecords || size_bits >= 32 ||
      (std::uint64_t{1} << size_bits) > kMaxLogTextBytes)
    return fail(ErrorCode::kBadData,
                fmt::format("2^{} records, 2^{} bytes of text", count_bits, size_bits));
  Ring ring{format,
            std::uint64_t{1} << count_bits,
            load<std::uint64_t>(*top, format.head_id),
            load<std::uint64_t>(*top, format.tail_id),
            {},
            {},
            {}};
  const auto fetch = [&](std::uint64_t pointer_at, std::uint64_t bytes,
                         std::vector<std::byte>& to) {
    auto array = read_array(space, load<std::uint64_t>(*top, pointer_at), bytes);
    if (!array) return Result<>(fail(std::move(array)));
    to = std::move(*array);
    return Result<>();
  };
  if (auto r = fetch(format.descs, ring.count * format.desc_bytes, ring.descs); !r)
    return fail(std::move(r), "descriptors");
  if (auto r = fetch(format.infos, ring.count * format.info_bytes, ring.infos); !r)
    return fail(std::move(r), "records");
  if (auto r = fetch(format.data, std::uint64_t{1} << size_bits, ring.text); !r)
    return fail(std::move(r), "text");
  return ring;
}

/// The record's text, empty when it has none (any more).
std::string_view text_of(const Ring& ring, std::uint64_t id) {
  const auto desc =
      std::span(ring.descs)
          .subspan((id % ring.count) * ring.format.desc_bytes, ring.format.desc_bytes);
  const auto state_var = load<std::uint64_t>(desc, ring.format.state);
  const std::uint64_t state = state_var >> kStateShift;
  if ((state_var & kIdMask) != id || (state != kCommitted && state != kFinalized)) return {};
  std::uint64_t begin = load<std::uint64_t>(desc, ring.format.lpos_begin) % ring.text.size();
  const std::uint64_t next = load<std::uint64_t>(desc, ring.format.lpos_next) % ring.text.size();
  if (begin == next) return {};    // without data
  if (begin > next) begin = 0;     // a block that would wrap lies at the beginning
  begin += sizeof(std::uint64_t);  // the block's id
  if (begin >= next) return {};
  const auto info =
      std::span(ring.infos)
          .subspan((id % ring.count) * ring.format.info_bytes, ring.format.info_bytes);
  const std::uint64_t length =
      std::min<std::uint64_t>(load<std::uint16_t>(info, ring.format.text_length), next - begin);
  return {reinterpret_cast<const char*>(ring.text.data()) + begin, length};
}

std::string prefix_of(const Ring& ring, std::uint64_t id) {
  const auto info =
      std::span(ring.infos)
          .subspan((id % ring.count) * ring.format.info_bytes, ring.format.info_bytes);
  const auto nanoseconds = load<std::uint64_t>(info, ring.format.timestamp);
  return fmt::format("[{:5}.{:06}] ", nanoseconds / 1'000'000'000,
                     nanoseconds % 1'000'000'000 / 1'000);
}

void append_record(std::string& log, const std::string& prefix, std::string_view text) {
  log += prefix;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      log.append("\n").append(prefix.size(), ' ');
    else if ((byte >= 0x20 && byte < 0x7F) || c == '\t')
      log += c;
    else
      fmt::format_to(std::back_inserter(log), "\\x{:02x}", byte);
  }
  log += '\n';
}

}  // namespace

Result<std::string> kernel_log(const AddressSpace& space, const Vmcoreinfo& info) {
  const auto symbol = info.symbol("prb");
  if (!symbol) return fail(ErrorCode::kNotFound, "VMCOREINFO has no SYMBOL(prb)");
  auto format = ring_format(info);
  if (!format) return fail(std::move(format));
  auto ring = read_ring(space, *format, *symbol);
  if (!ring) return fail(std::move(ring), "reading the printk ring");
  std::string log;
  std::uint64_t id = ring->tail_id & kIdMask;
  for (std::uint64_t turn = 0; turn < ring->count; ++turn) {
    const std::string_view text = text_of(*ring, id);
    if (!text.empty()) append_record(log, prefix_of(*ring, id), text);
    if (id == (ring->head_id & kIdMask)) break;
    id = (id + 1) & kIdMask;
  }
  return log;
}

Result<std::string> kernel_log(const VmcoreSource& source) {
  auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout()));
  if (!info) return fail(std::move(info));
  auto space = AddressSpace::open(source, *info);
  if (!space) return fail(std::move(space));
  return kernel_log(*space, *info);
}

CrashIdentity crash_identity(const Vmcoreinfo& info) {
  CrashIdentity identity;
  identity.release = printable(info.text("OSRELEASE").value_or(""));
  identity.build_id = printable(info.text("BUILD-ID").value_or(""));
  if (const auto time = info.text("CRASHTIME")) {
    std::uint64_t seconds = 0;
    const auto [end, error] = std::from_chars(time->data(), time->data() + time->size(), seconds);
    if (error == std::errc() && end == time->data() + time->size()) identity.crash_time_s = seconds;
  }
  return identity;
}

}  // namespace hadump
