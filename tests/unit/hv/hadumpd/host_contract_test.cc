// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/contract/host_contract.h"

#include <gtest/gtest.h>

#include "core/base/units.h"
#include "tests/fakes/in_memory_host.h"

namespace hadump {
namespace {

TEST(InMemoryHost, KeepsTheContract) {
  InMemoryHost host;
  DomainConfig config;
  config.name = "web";
  config.uuid = "u";
  config.memory_bytes = 512_MiB;
  const unsigned domid = host.add(config);
  host.at(domid).memory.add({Gfn{0}, Gfn{16}});
  ASSERT_TRUE(host.crash(domid));

  check_host_contract(host, domid, std::filesystem::temp_directory_path());
}

}  // namespace
}  // namespace hadump
