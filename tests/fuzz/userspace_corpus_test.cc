// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/corpus.h"

namespace hadump {
namespace {

INSTANTIATE_TEST_SUITE_P(Userspace, FuzzCorpus,
                         testing::Values(&kFuzzJournal, &kFuzzRegions, &kFuzzAcks, &kFuzzRegistry,
                                         &kFuzzDumpName, &kFuzzTargetName, &kFuzzEarlierSaves,
                                         &kFuzzWaitingDump, &kFuzzTableCheck),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace hadump
