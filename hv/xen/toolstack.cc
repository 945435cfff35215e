// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/toolstack.h"

#include <elf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/elf_header.h"
#include "core/base/file.h"
#include "hv/domain/guest_kind.h"
#include "hv/domain/guest_kinds.h"
#include "hv/domain/guest_memory.h"
#include "hv/domain/pvh_guest.h"
#include "hv/rescue/twin.h"
#include "hv/xen/domain_list.h"
#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_guest_memory.h"

namespace hadump {
namespace {

constexpr auto kNoDomid = static_cast<libxl_domid>(INVALID_DOMID);

tl::unexpected<Error> libxl_error(int rc, const char* what) {
  const std::string why = XenLog::take_errors();
  return fail(ErrorCode::kOs,
              fmt::format("{}: libxl error {}{}{}", what, rc, why.empty() ? "" : ", ", why));
}

ShutdownAction action_of(libxl_action_on_shutdown action) {
  switch (action) {
    case LIBXL_ACTION_ON_SHUTDOWN_DESTROY:
      return ShutdownAction::kDestroy;
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART:
      return ShutdownAction::kRestart;
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME:
      return ShutdownAction::kRenameRestart;
    case LIBXL_ACTION_ON_SHUTDOWN_PRESERVE:
      return ShutdownAction::kPreserve;
    case LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY:
      return ShutdownAction::kCoredumpDestroy;
    case LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART:
      return ShutdownAction::kCoredumpRestart;
    case LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET:
      return ShutdownAction::kSoftReset;
  }
  return ShutdownAction::kPreserve;
}

std::string text_or_empty(const char* text) {
  return text == nullptr ? "" : text;
}

// The smallest thing that libxl accepts as a PVH kernel: one page, one note with an entry point.
// It never runs.
std::vector<std::byte> empty_pvh_kernel() {
  constexpr std::uint64_t kAddress = 1_MiB;
  struct {
    Elf64_Ehdr header;
    Elf64_Phdr load;
    Elf64_Phdr note;
    Elf64_Nhdr note_header;
    char note_name[4];
    std::uint32_t note_entry;
  } image{};
  image.header = make_elf_header(ET_EXEC, 2);
  image.header.e_entry = kAddress;
  image.header.e_shentsize = sizeof(Elf64_Shdr);
  image.load.p_type = PT_LOAD;
  image.load.p_flags = PF_R | PF_X;
  image.load.p_vaddr = image.load.p_paddr = kAddress;
  image.load.p_filesz = image.load.p_memsz = sizeof(image);
  image.load.p_align = kFrameSize;
  const std::size_t notes = sizeof(image.header) + sizeof(image.load) + sizeof(image.note);
  image.note.p_type = PT_NOTE;
  image.note.p_flags = PF_R;
  image.note.p_offset = notes;
  image.note.p_vaddr = image.note.p_paddr = kAddress + notes;
  image.note.p_filesz = image.note.p_memsz =
      sizeof(image.note_header) + sizeof(image.note_name) + sizeof(image.note_entry);
  image.note.p_align = 4;
  image.note_header = {4, 4, 18};  // "Xen", XEN_ELFNOTE_PHYS32_ENTRY
  std::memcpy(image.note_name, "Xen", 4);
  image.note_entry = kAddress;
  const auto* bytes = reinterpret_cast<const std::byte*>(&image);
  return {bytes, bytes + sizeof(image)};
}

bool true_or_default(libxl_defbool value) {
  return libxl_defbool_is_default(value) || libxl_defbool_val(value);
}

AcpiShape acpi_shape(const libxl_domain_build_info& build) {
  AcpiShape shape{{}, true_or_default(build.acpi), true_or_default(build.apic)};
  for (int i = 0; i < build.max_vcpus; ++i)
    shape.available.push_back(libxl_bitmap_test(&build.avail_vcpus, i) != 0);
  return shape;
}

// Destroys a domain that must not stay.
class TwinGuard {
 public:
  TwinGuard(libxl_ctx* context, std::uint32_t domid) : context_(context), domid_(domid) {}
  TwinGuard(const TwinGuard&) = delete;
  TwinGuard& operator=(const TwinGuard&) = delete;
  ~TwinGuard() { static_cast<void>(libxl_domain_destroy(context_, domid_, nullptr)); }

 private:
  libxl_ctx* context_;
  std::uint32_t domid_;
};

Result<> parse_blueprint(libxl_ctx* context, const std::string& blueprint, LibxlConfig& config) {
  if (const int rc = libxl_domain_config_from_json(context, &config.value, blueprint.c_str());
      rc != 0)
    return fail(ErrorCode::kBadData, "libxl cannot read its own description of the domain");
  return {};
}

Result<AcpiTables> read_acpi_tables(const GuestMemory& memory) {
  auto mapping = memory.map(kAcpiFrames, Access::kRead);
  if (!mapping) return fail(std::move(mapping));
  AcpiTables tables{kAcpiFrames.begin, {}};
  for (std::size_t i = 0; i < kAcpiFrames.frames() && mapping->present(i); ++i) {
    const auto frame = mapping->frame(i);
    tables.bytes.insert(tables.bytes.end(), frame.begin(), frame.end());
  }
  return tables;
}

}  // namespace

Result<DomainConfig> Toolstack::domain_config(unsigned domid) const {
  LibxlConfig config;
  if (const int rc = libxl_retrieve_domain_configuration(context_, domid, &config.value, nullptr);
      rc != 0)
    return fail(ErrorCode::kNotFound, fmt::format("libxl has no configuration (error {})", rc));
  const libxl_domain_create_info& create = config.value.c_info;
  const libxl_domain_build_info& build = config.value.b_info;
  DomainConfig out;
  out.name = text_or_empty(create.name);
  out.uuid = uuid_text(
      *reinterpret_cast<const std::uint8_t(*)[16]>(libxl_uuid_bytearray_const(&create.uuid)));
  out.kind = find_guest_kind(text_or_empty(libxl_domain_type_to_string(create.type)));
  const std::uint64_t video_kib = build.video_memkb == LIBXL_MEMKB_DEFAULT ? 0 : build.video_memkb;
  out.memory_bytes = (build.max_memkb - video_kib) << 10;
  out.max_vcpus = static_cast<unsigned>(build.max_vcpus);
  out.kernel = text_or_empty(build.kernel);
  out.ramdisk = text_or_empty(build.ramdisk);
  out.cmdline = text_or_empty(build.cmdline);
  out.acpi_key = acpi_tables_key(acpi_shape(build));
  out.on_poweroff = action_of(config.value.on_poweroff);
  out.on_reboot = action_of(config.value.on_reboot);
  out.on_crash = action_of(config.value.on_crash);
  out.on_watchdog = action_of(config.value.on_watchdog);
  const UniqueHandle<char, std::free> blueprint(
      libxl_domain_config_to_json(context_, &config.value));
  out.blueprint = text_or_empty(blueprint.get());
  return out;
}

Result<AcpiTables> Toolstack::pristine_acpi_tables(unsigned domid, const std::string& kernel_path,
                                                   const TwinMark& mark,
                                                   const std::function<void()>& made) const {
  static_cast<void>(XenLog::take_errors());  // Of what did not matter.
  LibxlConfig model;
  if (const int rc = libxl_retrieve_domain_configuration(context_, domid, &model.value, nullptr);
      rc != 0)
    return libxl_error(rc, "reading the domain's configuration");
  const std::vector<std::byte> kernel = empty_pvh_kernel();
  const std::string_view text(reinterpret_cast<const char*>(kernel.data()), kernel.size());
  if (auto done = write_file_atomically(kernel_path, text, 0600); !done)
    return fail(std::move(done));

  LibxlConfig twin;
  libxl_domain_create_info& create = twin.value.c_info;
  libxl_domain_build_info& build = twin.value.b_info;
  constexpr std::uint64_t kTwinMemoryKib = 16 << 10;
  create.type = LIBXL_DOMAIN_TYPE_PVH;
  create.name = strdup(fmt::format("{}{}-{}", kTwinPrefix, domid, getpid()).c_str());
  libxl_uuid_generate(&create.uuid);
  std::copy(mark.begin(), mark.end(), libxl_uuid_bytearray(&create.uuid));
  libxl_domain_build_info_init_type(&build, LIBXL_DOMAIN_TYPE_PVH);
  build.max_vcpus = model.value.b_info.max_vcpus;
  // The MADT enables those that the guest started with; what it may add later, it knows how to.
  libxl_bitmap_copy_alloc(context_, &build.avail_vcpus, &model.value.b_info.avail_vcpus);
  build.max_memkb = build.target_memkb = kTwinMemoryKib;
  build.kernel = strdup(kernel_path.c_str());
  build.acpi = model.value.b_info.acpi;
  build.apic = model.value.b_info.apic;
  std::uint32_t twin_domid = 0;
  if (const int rc = libxl_domain_create_new(context_, &twin.value, &twin_domid, nullptr, nullptr);
      rc != 0)
    return libxl_error(rc, "creating a twin domain for its ACPI tables");
  const TwinGuard guard(context_, twin_domid);
  if (made) made();
  auto tables = read_acpi_tables(XenGuestMemory(handles_, twin_domid));
  if (!tables) return fail(std::move(tables), "reading the twin's ACPI tables");
  if (auto checked = check_acpi_tables(*tables); !checked) return fail(std::move(checked));
  return tables;
}

Result<std::vector<unsigned>> Toolstack::destroy_leftover_twins(const TwinMark& mark) const {
  auto domains = list_domains(handles_.control.get());
  if (!domains) return fail(std::move(domains));
  std::vector<unsigned> twins = leftover_twins(*domains, mark);
  for (unsigned domid : twins)
    if (auto done = destroy(domid); !done) return fail(std::move(done));
  return twins;
}

Result<> Toolstack::destroy(unsigned domid) const {
  static_cast<void>(XenLog::take_errors());  // Of what did not matter.
  if (const int rc = libxl_domain_destroy(context_, domid, nullptr); rc != 0)
    return libxl_error(rc, "destroying the domain");
  return {};
}

// Takes the disks from a domain that has shut down: Xen's block script gives no disk to a second
// domain, so xl's own rename-restart fails for every domain that has one.
Result<> Toolstack::take_disks(unsigned domid) const {
  int count = 0;
  libxl_device_disk* const disks = libxl_device_disk_list(context_, domid, &count);
  Result<> done;
  for (int i = 0; i < count; ++i)
    if (const int rc = libxl_device_disk_destroy(context_, domid, &disks[i], nullptr); rc != 0)
      done = libxl_error(rc, "taking a disk from the old domain");
  libxl_device_disk_list_free(disks, count);
  return done;
}

// The old one gets another UUID as well, the new one is the domain from then on. libxl changes it
// in xenstore only; a domain that the hypervisor goes on calling by the old one would be taken for
// the new one, and be obeyed again and again.
Result<> Toolstack::set_aside(unsigned domid, const std::string& uuid) const {
  static_cast<void>(XenLog::take_errors());  // Of what did not matter.
  libxl_uuid kept;
  libxl_uuid_generate(&kept);
  if (!uuid.empty() && libxl_uuid_from_string(&kept, uuid.c_str()) != 0)
    return fail(ErrorCode::kBadData, "not a UUID: " + uuid);
  // The last step: of such a domain libxl keeps no configuration any more.
  xc_dominfo_t info;
  if (xc_domain_getinfo(handles_.control.get(), domid, 1, &info) == 1 && info.domid == domid &&
      std::equal(std::begin(info.handle), std::end(info.handle), kept.uuid))
    return {};
  LibxlConfig config;
  if (const int rc = libxl_retrieve_domain_configuration(context_, domid, &config.value, nullptr);
      rc != 0)
    return libxl_error(rc, "reading the domain's configuration");
  if (auto done = take_disks(domid); !done) return done;
  // After an interruption it may be called so already.
  const std::string suffix = fmt::format("-{}", domid);
  const bool renamed = text_or_empty(config.value.c_info.name).ends_with(suffix);
  if (const int rc = libxl_domain_preserve(context_, domid, &config.value.c_info,
                                           renamed ? "" : suffix.c_str(), kept);
      rc != 0)
    return libxl_error(rc, "renaming the domain");
  if (xc_domain_sethandle(handles_.control.get(), domid, kept.uuid) != 0)
    return fail_os(errno, "giving the old domain another UUID");
  return {};
}

Result<HostRoom> Toolstack::room_for(const std::string& blueprint,
                                     std::uint64_t keep_free_bytes) const {
  LibxlConfig config;
  if (auto done = parse_blueprint(context_, blueprint, config); !done) return fail(std::move(done));
  HostRoom room;
  room.full_kib = config.value.b_info.target_memkb;
  std::uint64_t needed_kib = 0;
  if (const int rc = libxl_domain_need_memory(context_, &config.value, kNoDomid, &needed_kib);
      rc != 0)
    return libxl_error(rc, "asking how much memory the domain needs");
  xc_physinfo_t host{};
  if (xc_physinfo(handles_.control.get(), &host) != 0)
    return fail_os(errno, "asking Xen about the host");
  const std::uint64_t free_kib = (host.free_pages - host.outstanding_pages) << 2;
  const std::uint64_t kept_kib =
      (keep_free_bytes >> 10) + needed_kib - std::min(needed_kib, room.full_kib);
  const std::uint64_t left_kib = free_kib - std::min(free_kib, kept_kib);
  room.kib = std::min(room.full_kib, round_down(left_kib, 1024));
  return room;
}

Result<unsigned> Toolstack::create(const std::string& blueprint, std::uint64_t memory_kib) const {
  static_cast<void>(XenLog::take_errors());  // Of what did not matter.
  LibxlConfig config;
  if (auto done = parse_blueprint(context_, blueprint, config); !done) return fail(std::move(done));
  // What the old domain was given for its life only.
  config.value.c_info.domid = kNoDomid;
  if (memory_kib != 0 && memory_kib < config.value.b_info.target_memkb)
    config.value.b_info.target_memkb = memory_kib;
  std::uint32_t created = 0;
  if (const int rc = libxl_domain_create_new(context_, &config.value, &created, nullptr, nullptr);
      rc != 0)
    return libxl_error(rc, "creating the domain again");
  if (const int rc = libxl_domain_unpause(context_, created, nullptr); rc != 0) {
    auto error = libxl_error(rc, "starting the domain");
    static_cast<void>(libxl_domain_destroy(context_, created, nullptr));  // the next attempt tells
    return error;
  }
  return created;
}

// The claim keeps what was just freed for this domain until its balloon driver takes it. A host
// that has less free lets it have what there is.
Result<> Toolstack::set_memory(unsigned domid, std::uint64_t kib) const {
  static_cast<void>(XenLog::take_errors());  // Of what did not matter.
  if (const int rc = libxl_set_memory_target(context_, domid, static_cast<std::int64_t>(kib),
                                             /*relative=*/0, /*enforce=*/1);
      rc != 0)
    return libxl_error(rc, "setting the domain's memory");
  static_cast<void>(xc_domain_claim_pages(handles_.control.get(), domid, kib >> 2));
  return {};
}

Result<> Toolstack::dump_core(unsigned domid, const std::string& path) const {
  static_cast<void>(XenLog::take_errors());  // Of what did not matter.
  if (const int rc = libxl_domain_core_dump(context_, domid, path.c_str(), nullptr); rc != 0)
    return libxl_error(rc, "dumping the domain's core");
  return {};
}

}  // namespace hadump
