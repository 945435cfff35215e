// SPDX-License-Identifier: GPL-2.0-or-later
// The contracts on real Xen: xen-contract DOMID FIRST-ABSENT-MIB [CORE-DIRECTORY], in dom0, for a
// crashed domain that nobody needs any more. Without a directory no core is dumped: libxc asks for
// every frame up to 4 GiB by itself, which takes minutes on an emulated host.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "hv/rescue/twin.h"
#include "hv/xen/toolstack.h"
#include "hv/xen/xen_cpu_share.h"
#include "hv/xen/xen_dirty_log.h"
#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_guest_memory.h"
#include "hv/xen/xen_guest_store.h"
#include "hv/xen/xen_host.h"
#include "tests/contract/cpu_share_contract.h"
#include "tests/contract/dirty_log_contract.h"
#include "tests/contract/domain_contract.h"
#include "tests/contract/guest_memory_contract.h"
#include "tests/contract/guest_store_contract.h"
#include "tests/contract/host_contract.h"

namespace hadump {
namespace {

struct Subject {
  unsigned domid = 0;
  Gfn first_absent;
  std::string core_directory;
};
Subject g_subject;

class OnXen : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = XenHandles::open(log_);
    ASSERT_TRUE(opened) << opened.error().what();
    handles_ = std::move(*opened);
  }

  XenLog log_{[](const std::string& line) { std::cerr << line << '\n'; }};
  XenHandles handles_;
};

struct XenSubject : GuestMemorySubject {
  explicit XenSubject(const XenHandles& handles) : guest(handles, g_subject.domid) {}
  XenGuestMemory guest;
  GuestMemory& memory() override { return guest; }
  FrameRange present() override { return {Gfn{0x1000}, Gfn{0x1010}}; }
  FrameRange absent() override {
    return {g_subject.first_absent, Gfn{g_subject.first_absent.value + 2048}};
  }
};

TEST_F(OnXen, GuestMemoryKeepsTheContract) {
  XenSubject subject(handles_);
  const std::uint64_t frames = subject.guest.total_frames().value();
  ASSERT_TRUE(subject.guest.set_limit_kib((frames + subject.absent().frames()) * 4));
  check_guest_memory_contract(subject);
}

// Our own mapping is as good as another domain's.
TEST_F(OnXen, WhoeverHasMappedAReplacedFrameKeepsTheOldOne) {
  XenSubject subject(handles_);
  const FrameRange frame{subject.present().begin, Gfn{subject.present().begin.value + 1}};
  auto old = subject.guest.map(frame, Access::kReadWrite);
  ASSERT_TRUE(old && old->all_present());
  std::memset(old->bytes().data(), 0x11, kFrameSize);
  ASSERT_TRUE(subject.guest.set_limit_kib((subject.guest.total_frames().value() + 2) * 4));
  const auto done = subject.guest.replace({frame}, subject.absent().begin, 0,
                                          [](const FrameSet&) { return Result<>(); });
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(old->bytes()[0], std::byte{0}) << "what goes back to the host is cleared";
  std::memset(old->bytes().data(), 0x22, kFrameSize);
  auto fresh = subject.guest.map(frame, Access::kRead);
  ASSERT_TRUE(fresh && fresh->all_present());
  EXPECT_EQ(fresh->bytes()[0], std::byte{0x11});
}

// It runs no more, and writes nothing.
TEST_F(OnXen, DirtyLogKeepsTheContract) {
  XenDirtyLog log(handles_, g_subject.domid);
  check_dirty_log_contract(log, g_subject.first_absent, {});
}

TEST_F(OnXen, CpuShareKeepsTheContract) {
  XenCpuShare share(handles_, g_subject.domid);
  xen_domctl_sched_credit2 before{};
  ASSERT_EQ(xc_sched_credit2_domain_get(handles_.control.get(), g_subject.domid, &before), 0);
  check_cpu_share_contract(share);
  xen_domctl_sched_credit2 after{};
  ASSERT_EQ(xc_sched_credit2_domain_get(handles_.control.get(), g_subject.domid, &after), 0);
  EXPECT_GT(after.weight, 0);
  EXPECT_EQ(after.weight, before.weight) << "an admin's";
}

TEST_F(OnXen, ARequestThatNobodyHasTakenIsWithdrawn) {
  const XenStore raw(handles_.store.get());
  const std::string path = "/local/domain/" + std::to_string(g_subject.domid) + "/control/shutdown";
  ASSERT_TRUE(raw.write(path, "poweroff"));
  XenGuestStore store(handles_.store.get(), g_subject.domid);
  ASSERT_TRUE(store.withdraw_requests());
  EXPECT_EQ(raw.read(path), "");
}

TEST_F(OnXen, GuestStoreKeepsTheContract) {
  const XenStore raw(handles_.store.get());
  const std::string home = "/local/domain/" + std::to_string(g_subject.domid) + "/";
  const GuestWrites guest_writes = [&](const std::string& key, const std::string& value) {
    ASSERT_TRUE(raw.write(home + HADUMP_XS_GUEST "/" + key, value));
  };
  XenGuestStore store(handles_.store.get(), g_subject.domid);
  check_guest_store_contract(store, guest_writes);

  // What is listened to all the time.
  for (const char* key : kGuestsWords) guest_writes(key, "word");
  EXPECT_EQ(store.news(true).value().keys, store.guest_keys().value());
  const GuestKeys few = {{HADUMP_XS_STATE, "word"}, {HADUMP_XS_BOOT_MEMORY, "word"}};
  EXPECT_EQ(store.news(false).value().keys, few);
  EXPECT_TRUE(store.clear_guest_keys());
}

// libxl waits for a child of its own when it destroys a domain, here a twin. In its default mode a
// context takes every other child of the process, too, such as another context's, which then waits
// for it forever.
TEST_F(OnXen, ALibxlContextLeavesTheChildrenOfOthersAlone) {
  constexpr int kStatus = 7;
  const pid_t child = fork();
  if (child == 0) _exit(kStatus);
  ASSERT_GT(child, 0);
  auto libxl = open_libxl(log_);
  ASSERT_TRUE(libxl);
  const auto tables =
      Toolstack(libxl->get(), handles_)
          .pristine_acpi_tables(g_subject.domid, "/run/twin-kernel", TwinMark{}, {});
  EXPECT_TRUE(tables) << tables.error().what();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child) << "libxl has taken it";
  EXPECT_EQ(WEXITSTATUS(status), kStatus);
}

// It resets the domain.
TEST_F(OnXen, YDomainKeepsTheContract) {
  XenDomain domain(handles_, g_subject.domid);
  XenGuestMemory memory(handles_, g_subject.domid);
  check_domain_contract(domain, memory);
}

// Last: the domain is gone after it.
TEST_F(OnXen, ZHostKeepsTheContract) {
  auto host = XenHost::open(log_);
  ASSERT_TRUE(host) << host.error().what();
  ASSERT_TRUE((*host)->crash(g_subject.domid));
  check_host_contract(**host, g_subject.domid, g_subject.core_directory);
}

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: xen-contract DOMID FIRST-ABSENT-MIB [CORE-DIRECTORY]\n";
    return 2;
  }
  hadump::g_subject.domid = static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10));
  hadump::g_subject.first_absent = hadump::Gfn{std::strtoull(argv[2], nullptr, 10) << 8};
  if (argc == 4) hadump::g_subject.core_directory = argv[3];
  return RUN_ALL_TESTS();
}
