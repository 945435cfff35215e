// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/corpus.h"

namespace hadump {
namespace {

INSTANTIATE_TEST_SUITE_P(Agent, FuzzCorpus,
                         testing::Values(&kFuzzXenstore, &kFuzzNode, &kFuzzSaveArea, &kFuzzNote,
                                         &kFuzzTables, &kFuzzKernel, &kFuzzAcpi),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace hadump
