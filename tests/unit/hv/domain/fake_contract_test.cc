// SPDX-License-Identifier: GPL-2.0-or-later
// The fakes keep the contracts that the real parts keep; tests/contract/xen_contract.cc runs the
// same on Xen.
#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "tests/contract/cpu_share_contract.h"
#include "tests/contract/dirty_log_contract.h"
#include "tests/contract/domain_contract.h"
#include "tests/contract/guest_memory_contract.h"
#include "tests/contract/guest_store_contract.h"
#include "tests/fakes/in_memory_cpu_share.h"
#include "tests/fakes/in_memory_dirty_log.h"
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
  InMemoryGuest guest{{Gfn{0}, Gfn{64}}};
  InMemoryDomain domain(history);
  domain.set_memory(guest);
  check_domain_contract(domain, guest);
}

TEST(InMemoryDirtyLog, KeepsTheContract) {
  History history;
  InMemoryGuest guest{{Gfn{0}, Gfn{64}}};
  InMemoryDirtyLog log(history, guest);
  check_dirty_log_contract(log, Gfn{64}, [&](Gfn gfn) { log.guest_writes(gfn, 0, 1); });
}

TEST(InMemoryCpuShare, KeepsTheContract) {
  History history;
  InMemoryCpuShare share(history);
  check_cpu_share_contract(share);
}

TEST(InMemoryGuestStore, KeepsTheContract) {
  InMemoryGuestStore store;
  store.keys["state"] = "registered";
  check_guest_store_contract(
      store, [&](const std::string& key, const std::string& value) { store.keys[key] = value; });
}

TEST(GuestStoreContract, KnowsEveryWordOfTheAbi) {
  std::ifstream abi(HADUMP_SOURCE_DIR "/core/abi/hadump_abi.h");
  const std::regex define("#define HADUMP_XS_[A-Z_]+ \"([a-z-]+)\".*");
  std::vector<std::string> words;
  std::string line;
  while (std::getline(abi, line) && !line.starts_with("#define HADUMP_XS_GUEST ")) {
  }
  while (std::getline(abi, line) && !line.starts_with("#define HADUMP_XS_MAX_VALUE "))
    if (std::smatch found; std::regex_match(line, found, define)) words.push_back(found[1]);
  EXPECT_THAT(words, testing::ElementsAreArray(kGuestsWords));
}

}  // namespace
}  // namespace hadump
