// The contracts on real Xen: xen-contract DOMID FIRST-ABSENT-MIB, in dom0, for a crashed domain
// that nobody needs any more.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <barrier>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "hv/agent/twin.h"
#include "hv/xen/toolstack.h"
#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_guest_memory.h"
#include "hv/xen/xen_guest_store.h"
#include "tests/contract/domain_contract.h"
#include "tests/contract/guest_memory_contract.h"
#include "tests/contract/guest_store_contract.h"

namespace hadump {
namespace {

struct Subject {
  unsigned domid = 0;
  Gfn first_absent;
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

TEST_F(OnXen, GuestStoreKeepsTheContract) {
  XenGuestStore store(handles_.store.get(), g_subject.domid);
  check_guest_store_contract(store);
}

// libxl waits for a child whenever it destroys a domain. In its default mode a context takes
// another's child, too, which is then waited for for ever. Both destroy their twin at the same time
// here.
TEST_F(OnXen, TwoThreadsWithAContextEachDoNotTakeEachOthersChildren) {
  constexpr int kTurns = 8;
  std::array<std::string, 2> errors;
  std::barrier<> both_made(static_cast<std::ptrdiff_t>(errors.size()));
  const auto make_twins = [&](unsigned i) -> Result<> {
    auto handles = XenHandles::open(log_);
    if (!handles) return fail(std::move(handles));
    auto libxl = open_libxl(log_);
    if (!libxl) return fail(std::move(libxl));
    for (int turn = 0; turn < kTurns; ++turn) {
      auto tables =
          Toolstack(libxl->get(), *handles)
              .pristine_acpi_tables(g_subject.domid, fmt::format("/run/twin-kernel-{}", i),
                                    twin_mark(0, i), [&] { both_made.arrive_and_wait(); });
      if (!tables) return fail(std::move(tables));
    }
    return {};
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < errors.size(); ++i)
      threads.emplace_back([&, i] {
        if (auto done = make_twins(i); !done) errors[i] = done.error().what();
        both_made.arrive_and_drop();  // or the other one would wait for this one's next twin
      });
  }
  EXPECT_EQ(errors[0], "");
  EXPECT_EQ(errors[1], "");
}

// Last: it resets the domain.
TEST_F(OnXen, ZDomainKeepsTheContract) {
  XenDomain domain(handles_, g_subject.domid);
  check_domain_contract(domain);
}

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 3) {
    std::cerr << "usage: xen-contract DOMID FIRST-ABSENT-MIB\n";
    return 2;
  }
  hadump::g_subject.domid = static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10));
  hadump::g_subject.first_absent = hadump::Gfn{std::strtoull(argv[2], nullptr, 10) << 8};
  return RUN_ALL_TESTS();
}
