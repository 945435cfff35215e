// SPDX-License-Identifier: GPL-2.0-or-later
// The fakes keep the contracts that the real parts keep; tests/contract/xen_contract.cc runs the
// same on Xen.
#include <gtest/gtest.h>

#include "tests/contract/domain_contract.h"
#include "tests/contract/guest_memory_contract.h"
#include "tests/contract/guest_store_contract.h"
#include "tests/fakes/in_memory_domain.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {
namespace {

struct FakeSubject : GuestMemorySubject {
  InMemoryGuest guest{{Gfn{0}, Gfn{16}}};
  GuestMemory& memory() override { return guest; }
  FrameRange present() override { return {Gfn{0}, Gfn{16}}; }
  FrameRange absent() override { return {Gfn{1024}, Gfn{3072}}; }
};

TEST(InMemoryGuest, KeepsTheContract) {
  FakeSubject subject;
  check_guest_memory_contract(subject);
}

TEST(InMemoryDomain, KeepsTheContract) {
  History history;
  InMemoryDomain domain(history);
  check_domain_contract(domain);
}

TEST(InMemoryGuestStore, KeepsTheContract) {
  InMemoryGuestStore store;
  store.keys["state"] = "registered";
  check_guest_store_contract(store);
}

}  // namespace
}  // namespace hadump
