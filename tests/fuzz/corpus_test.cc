// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/corpus.h"

namespace hadump {
namespace {

INSTANTIATE_TEST_SUITE_P(Vmcore, FuzzCorpus,
                         testing::Values(&kFuzzElf, &kFuzzVmcoreinfo, &kFuzzKdump, &kFuzzFlattened,
                                         &kFuzzPages, &kFuzzLog, &kFuzzMachine),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace hadump
