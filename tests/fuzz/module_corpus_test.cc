// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/corpus.h"

namespace hadump {
namespace {

INSTANTIATE_TEST_SUITE_P(Module, FuzzCorpus, testing::Values(&kFuzzModuleNode, &kFuzzReleaseText),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace hadump
